"""A pipeline as users of FATE write it: upload, train, look at the results, deploy, predict.

train_and_predict.py GUEST HOST ARBITER FILE OUT: the guest's CSV file is uploaded here; the host's table is there
already. What was found goes to OUT as JSON.
"""

import json
import sys

from fate_client.pipeline import FateFlowPipeline
from fate_client.pipeline.components.fate import PSI, CoordinatedLR, DataSplit, Evaluation, FeatureScale, Reader

NAMESPACE = "pipeline"


def reader(name, guest, host):
    task = Reader(name, runtime_parties={"guest": guest, "host": host})
    task.guest.task_parameters(namespace=NAMESPACE, name="guest_table")
    task.hosts[0].task_parameters(namespace=NAMESPACE, name="host_table")
    return task


def frame(data):
    return {"columns": list(data.columns), "rows": len(data), "first": [str(v) for v in data.iloc[0]]}


def train(guest, host, arbiter):
    pipeline = FateFlowPipeline().set_parties(guest=guest, host=host, arbiter=arbiter)
    pipeline.conf.set("cores", 1)
    pipeline.conf.set("task", {"timeout": 300, "engine_run": {"cores": 1}})
    reader_0 = reader("reader_0", guest, host)
    psi_0 = PSI("psi_0", input_data=reader_0.outputs["output_data"])
    split_0 = DataSplit("data_split_0", input_data=psi_0.outputs["output_data"], train_size=0.8, test_size=0.2,
                        random_state=7)
    scale_0 = FeatureScale("feature_scale_0", method="standard", train_data=split_0.outputs["train_output_data"])
    lr_0 = CoordinatedLR("lr_0", epochs=3, batch_size=None, early_stop="diff", tol=1e-6,
                         optimizer={"method": "sgd", "optimizer_params": {"lr": 0.2}, "penalty": "l2", "alpha": 0.01},
                         init_param={"fit_intercept": True, "method": "zeros"},
                         train_data=scale_0.outputs["train_output_data"])
    evaluation_0 = Evaluation("evaluation_0", runtime_parties={"guest": guest}, default_eval_setting="binary",
                              input_datas=[lr_0.outputs["train_output_data"]])
    pipeline.add_tasks([reader_0, psi_0, split_0, scale_0, lr_0, evaluation_0])
    pipeline.compile()
    pipeline.fit()
    return pipeline, [psi_0, scale_0, lr_0]


def predict(pipeline, tasks, guest, host):
    pipeline.deploy(tasks)
    deployed = pipeline.get_deployed_pipeline()
    reader_1 = reader("reader_1", guest, host)
    deployed.psi_0.input_data = reader_1.outputs["output_data"]
    again = FateFlowPipeline()
    again.conf.set("cores", 1)
    again.add_tasks([reader_1, deployed])
    again.compile()
    again.predict()
    return again


def main():
    guest, host, arbiter, path, out = sys.argv[1:]
    uploader = FateFlowPipeline()
    uploader.transform_local_file_to_dataframe(
        file=path, head=True, namespace=NAMESPACE, name="guest_table", extend_sid=True, partitions=4,
        meta={"delimiter": ",", "dtype": "float64", "label_name": "y", "label_type": "int32", "match_id_name": "id"})
    pipeline, tasks = train(guest, host, arbiter)
    found = {
        "fit": pipeline.model_info.__dict__,
        "data": {t: {k: frame(v) for k, v in pipeline.get_task_info(t).get_output_data().items()}
                 for t in ("psi_0", "data_split_0", "feature_scale_0", "lr_0")},
        "model": pipeline.get_task_info("lr_0").get_output_model(),
        "scale_model": pipeline.get_task_info("feature_scale_0").get_output_model(),
        "metrics": pipeline.get_task_info("evaluation_0").get_output_metric(),
    }
    again = predict(pipeline, tasks, guest, host)
    scores = again.get_task_info("lr_0").get_output_data()
    found["predict"] = again.model_info.__dict__
    found["scores"] = {k: frame(v) for k, v in scores.items()}
    found["details"] = [v["predict_detail"].iloc[0] for v in scores.values()]
    with open(out, "w", encoding="utf-8") as f:
        json.dump(found, f)


if __name__ == "__main__":
    main()
