"""Calls every method of every group of the FlowClient. sdk.py PORT GUEST HOST JOB DIRECTORY OUT

JOB is a trained model's; what each method has answered goes to OUT as JSON, by its name.
"""

import inspect
import json
import os
import sys
import time

import requests

from fate_client.flow_sdk import FlowClient
from fate_client.flow_sdk.utils.base_utils import BaseFlowAPI

META = {"delimiter": ",", "dtype": "float64", "label_name": "y", "label_type": "int32", "match_id_name": "id"}
TASK = {"component_ref": "noop", "parameters": {"sleep_ms": 0}}


def small_job(guest, parameters, **conf):
    return {"schema_version": "2.2.0", "dag": {
        "stage": "default", "parties": [{"role": "guest", "party_id": [guest]}],
        "conf": {"cores": 1, "task": {"engine_run": {"cores": 1}}, **conf},
        "tasks": {"task_0": {**TASK, "parameters": parameters}}}}


def scaling(guest):
    """A job of one party that leaves a model."""
    dag = small_job(guest, {})
    dag["dag"]["stage"] = "train"
    dag["dag"]["tasks"] = {
        "reader_0": {"component_ref": "reader", "stage": "default", "parameters": {"namespace": "sdk", "name": "whole"}},
        "scale_0": {"component_ref": "feature_scale", "inputs": {"data": {"train_data": {"task_output_artifact": {
            "producer_task": "reader_0", "output_artifact_key": "output_data"}}}}}}
    return dag


def wait(client, job_id, role, party_id):
    while True:
        status = client.job.query(job_id=job_id, role=role, party_id=party_id)["data"][0]["status"]
        if status in ("success", "failed", "canceled"):
            return status
        time.sleep(0.1)


def main():
    port, guest, host, job_id, directory, out = sys.argv[1:]
    c = FlowClient(ip="127.0.0.1", port=int(port), version="v2")
    said = {}

    def call(what, **kw):
        group, method = what.split(".")
        answer = getattr(getattr(c, group), method)(**kw)
        said[what] = answer.json() if isinstance(answer, requests.models.Response) else answer
        return said[what]

    me = {"job_id": job_id, "role": "guest", "party_id": guest}
    of_task = {**me, "task_name": "lr_0"}
    call("site.info")
    call("service.get_fateflow_info")

    # jobs
    first = call("job.submit", dag_schema=small_job(guest, {"fail": 1}))["job_id"]
    said["status of the job that fails"] = wait(c, first, "guest", guest)
    call("job.rerun", job_id=first)
    wait(c, first, "guest", guest)
    call("job.stop", job_id=first)
    call("job.job_clean", job_id=first)
    said["query after clean"] = c.job.query(job_id=first)
    call("job.query", **me)
    call("job.query_job_list", limit=2, page=1, order_by="create_time", order="desc", role="guest")
    call("job.add_notes", notes="by the library", **me)
    said["notes"] = c.job.query(**me)["data"][0]["description"]
    call("job.dag_dependency", **me)
    call("job.download_log", job_id=job_id, path=os.path.join(directory, "logs"))
    call("job.queue_clean")
    call("task.query", **of_task)
    call("task.query_task_list", limit=3, page=1, job_id=job_id)
    call("log.count", log_type="task_info", **of_task)
    call("log.query", log_type="task_info", begin=1, end=2, **of_task)

    # data
    path = os.path.join(directory, "sdk.csv")
    with open(path, "w", encoding="utf-8") as f:
        f.write("id,y,x\n" + "".join(f"{i},{i % 2},{i / 4}\n" for i in range(20)))
    upload = {"file": path, "head": True, "partitions": 2, "meta": META, "extend_sid": True}
    raw = call("data.upload", **upload)
    wait(c, raw["job_id"], "local", "0")
    wait(c, call("data.upload_file", namespace="sdk", name="whole", **upload)["job_id"], "local", "0")
    wait(c, call("data.dataframe_transformer", namespace="sdk", name="frame", data_warehouse=raw["data"])["job_id"],
         "local", "0")
    wait(c, call("data.download_component", namespace="sdk", name="frame",
                 path=os.path.join(directory, "written.csv"))["job_id"], "local", "0")
    call("data.download", namespace="sdk", name="frame", path=os.path.join(directory, "table"))
    call("table.query", namespace="sdk", name="frame", display=True)
    call("table.bind_path", namespace="sdk", name="bound", path=directory)
    said["bound"] = c.table.query(namespace="sdk", name="bound")
    call("table.delete", namespace="sdk", name="frame")
    said["query after delete"] = c.table.query(namespace="sdk", name="frame")

    # outputs and models
    for method in ("query_metric_key", "query_model", "data_table", "data_display"):
        call("output." + method, **of_task)
    call("output.query_metric", **{**of_task, "task_name": "evaluation_0"})
    call("output.download_data", path=directory, **of_task)
    call("output.download_model", path=directory, **of_task)
    model = {"model_id": job_id, "model_version": "0"}
    call("model.export", role="guest", party_id=guest, path=directory, **model)
    archive = os.path.join(directory, f"{job_id}_0_guest_{guest}.zip")
    call("model.import_model", model_id="sdk_model", model_version="1", path=archive)
    call("model.migrate", role="guest", party_id=guest, dir_path=os.path.join(directory, "migrated"), **model)
    call("model.load")
    call("model.store")
    call("model.restore")
    call("model.delete_model", model_id="sdk_model", model_version="1", role="guest", party_id=guest)
    # of a job of its own, so that the model of the others stays
    last = c.data.upload(**upload)["job_id"]
    wait(c, last, "local", "0")
    local = {"job_id": last, "role": "local", "party_id": "0", "task_name": "upload_0"}
    said["metrics of an upload"] = c.output.query_metric(**local)
    call("output.delete_metric", **local)
    scaled = c.job.submit(dag_schema=scaling(guest))["job_id"]
    wait(c, scaled, "guest", guest)
    model = {"job_id": scaled, "role": "guest", "party_id": guest, "task_name": "scale_0"}
    call("output.delete_model", **model)
    said["model after delete"] = c.output.query_model(**model)

    # administration
    call("provider.register", name="elsewhere", device="local", version="1.0", metadata={"path": directory},
         components_description={"nothing": {}})
    call("provider.query", name="elsewhere")
    call("provider.delete", name="elsewhere")
    for method, kw in (("create_client", {"app_name": "a"}), ("delete_client", {"app_id": "1"}),
                       ("query_client", {"app_id": "1"}), ("create_site", {"party_id": host}),
                       ("delete_site", {"party_id": host}), ("query_site", {"party_id": host}),
                       ("create_partner", {"party_id": host, "app_id": "1", "app_token": "t"}),
                       ("delete_partner", {"party_id": host}), ("query_partner", {"party_id": host})):
        call("client_." + method, **kw)
    for method, kw in (("grant", {"app_id": "1", "role": "client"}), ("delete", {"app_id": "1", "role": "client"}),
                       ("query", {"app_id": "1"}), ("query_role", {}),
                       ("grant_resource", {"party_id": host, "component": "psi"}),
                       ("query_resource", {"party_id": host}),
                       ("delete_resource", {"party_id": host, "component": "psi"})):
        call("permission." + method, **kw)

    toy = call("test.toy", guest_party_id=guest, host_party_id=host)
    said["status of the toy"] = wait(c, toy["job_id"], "guest", guest)

    def is_method(x):
        return inspect.ismethod(x) and not x.__name__.startswith(("_", "toy_", "check_"))

    said["all methods"] = sorted(
        f"{group}.{name}" for group, api in inspect.getmembers(c, lambda x: isinstance(x, BaseFlowAPI))
        for name, _ in inspect.getmembers(api, is_method))
    with open(out, "w", encoding="utf-8") as f:
        json.dump(said, f)


if __name__ == "__main__":
    main()
