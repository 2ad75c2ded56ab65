"""The keys of the records that FATE-Flow's API shows, without its internal tables."""

JOB = set("""protocol flow_id job_id user_name description tag dag parties initiator_party_id scheduler_party_id status
    status_code inheritance role party_id progress model_id model_version engine_name cores memory remaining_cores
    remaining_memory resource_in_use apply_resource_time return_resource_time start_time end_time elapsed create_time
    update_time""".split())
TASK = set("""protocol job_id role party_id task_name component task_id task_version execution_id scheduler_party_id
    status party_status status_code component_parameters task_run task_parameters engine_conf memory task_cores
    resource_in_use worker_id cmd run_ip run_port run_pid provider_name kill_status error_report sync_type timeout
    launcher_name start_time end_time elapsed create_time update_time""".split())
METRIC = {"name", "type", "groups", "step_axis", "data"}
TABLE = {"namespace", "name", "count", "data_type", "engine", "path", "meta", "source"}
PROVIDER = {"provider_name", "name", "version", "device", "metadata", "create_time", "update_time"}
INSTANCE = {"instance_id", "timestamp", "version", "host", "grpc_port", "http_port"}

# Every route of FATE-Flow 2.2 for clients and for components.
CLIENT_ROUTES = """
POST /job/submit
GET /job/query
POST /job/stop
POST /job/rerun
GET /job/list/query
GET /job/task/query
GET /job/task/list/query
POST /job/log/download
POST /job/queue/clean
POST /job/clean
GET /job/data/view
POST /job/notes/add
GET /job/dag/dependency
GET /output/metric/key/query
GET /output/metric/query
POST /output/metric/delete
GET /output/model/query
GET /output/model/download
POST /output/model/delete
GET /output/data/download
GET /output/data/table
GET /output/data/display
POST /data/component/upload
POST /data/component/upload/file
POST /data/component/dataframe/transformer
POST /data/component/download
GET /data/download
GET /table/query
POST /table/delete
POST /table/bind/path
POST /model/export
POST /model/import
POST /model/delete
POST /model/load
POST /model/migrate
POST /model/store
POST /model/restore
GET /log/count
GET /log/query
POST /provider/register
GET /provider/query
POST /provider/delete
GET /site/info/query
GET /server/fateflow
GET /server/query/all
GET /server/query
POST /server/registry
POST /server/delete
GET /server/service/query
POST /server/service/registry
POST /server/service/delete
POST /app/client/create
POST /app/client/delete
GET /app/client/query
POST /app/site/create
POST /app/site/delete
GET /app/site/query
POST /app/partner/create
POST /app/partner/delete
GET /app/partner/query
POST /permission/grant
POST /permission/delete
GET /permission/query
GET /permission/role/query
POST /permission/resource/grant
POST /permission/resource/delete
GET /permission/resource/query
POST /worker/task/status
POST /worker/model/save
GET /worker/model/download
GET /worker/data/tracking/query
POST /worker/data/tracking/save
POST /worker/metric/save
POST /worker/metric/save/0_a_0_guest_9999
""".split("\n")[1:-1]

# And those between sites.
PEER_ROUTES = """
POST /scheduler/job/create
POST /scheduler/job/stop
POST /scheduler/job/rerun
POST /scheduler/task/report
POST /partner/job/create
POST /partner/job/start
POST /partner/job/status/update
POST /partner/job/update
POST /partner/job/resource/apply
POST /partner/job/resource/return
POST /partner/job/stop
POST /partner/task/resource/apply
POST /partner/task/resource/return
POST /partner/task/start
POST /partner/task/collect
POST /partner/task/status/update
POST /partner/task/stop
POST /partner/task/rerun
""".split("\n")[1:-1]
