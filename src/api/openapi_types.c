/* Types of answers in the short form of openapi.h, as JSON Schema; and the records there are. */
#include "api/openapi.h"

#include "base/attr.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_REF "#/components/schemas/"

static json_t *parse(const char **s);

static void mistake(const char *at)
{
	log_error(LOG_CTX_NONE, "a type of the API is written wrongly before '%s'", at);
	abort();
}

static size_t word_len(const char *s)
{
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || s[n] == '_')
		n++;
	return n;
}

/* Behind the opening brace: name:type or name?:type, with spaces between. */
static json_t *parse_fields(const char **s)
{
	json_t *fields = json_object();
	json_t *required = json_array();

	while (**s != '}') {
		*s += strspn(*s, " ");
		size_t n = word_len(*s);
		char *name = mem_strndup(*s, n);
		*s += n;
		bool optional = **s == '?';
		*s += optional;
		if (n == 0 || **s != ':')
			mistake(*s);
		(*s)++;
		json_object_set_new(fields, name, parse(s));
		if (!optional)
			json_array_append_new(required, json_string(name));
		free(name);
		*s += strspn(*s, " ");
	}
	(*s)++;
	return json_pack("{s:s, s:o, s:o}", "type", "object", "properties", fields, "required",
			 required);
}

static json_t *parse_word(const char **s)
{
	static const char *const plain[] = {"string", "integer", "number", "boolean", "object"};
	size_t n = word_len(*s);
	char *word = mem_strndup(*s, n);
	json_t *type = NULL;

	if (isupper((unsigned char)word[0])) {
		char *ref = mem_printf(RECORD_REF "%s", word);
		type = json_pack("{s:s}", "$ref", ref);
		free(ref);
	} else if (str_eq(word, "any")) {
		type = json_object();
	}
	for (size_t i = 0; type == NULL && i < ARRAY_LEN(plain); i++) {
		if (str_eq(word, plain[i]))
			type = json_pack("{s:s}", "type", word);
	}
	free(word);
	if (type == NULL)
		mistake(*s);
	*s += n;
	return type;
}

static json_t *nullable(json_t *type)
{
	json_t *name = json_object_get(type, "type");

	if (json_object_size(type) == 0) /* any */
		return type;
	if (!json_is_string(name))
		return json_pack("{s:[o, {s:s}]}", "anyOf", type, "type", "null");
	json_object_set_new(type, "type", json_pack("[O, s]", name, "null"));
	return type;
}

static json_t *parse(const char **s)
{
	json_t *type;

	if (**s == '{') {
		(*s)++;
		type = parse_fields(s);
	} else {
		type = parse_word(s);
	}
	for (;;) {
		if (str_starts(*s, "[]")) {
			type = json_pack("{s:s, s:o}", "type", "array", "items", type);
			*s += 2;
		} else if (str_starts(*s, "{}")) {
			type =
			    json_pack("{s:s, s:o}", "type", "object", "additionalProperties", type);
			*s += 2;
		} else if (**s == '?') {
			type = nullable(type);
			(*s)++;
		} else {
			break;
		}
	}
	if (**s == '|') {
		(*s)++;
		type = json_pack("{s:[o, o]}", "anyOf", type, parse(s));
	}
	return type;
}

json_t *openapi_type(const char *text)
{
	json_t *type = parse(&text);

	if (*text != '\0')
		mistake(text);
	return type;
}

/* Times are milliseconds since 1970. FATE's records keep FATE's names. */
static const struct {
	const char *name;
	const char *text; /* what it is */
	const char *type;
} records[] = {
    {"Result", "What became of one of several things", "{code:integer message:string data?:any}"},
    {"Party", "Parties of one role", "{role:string party_id:string[]}"},
    {"Job", "A job as a party of this site sees it",
     "{job_id:string role:string party_id:string status:string progress:integer parties:Party[] "
     "dag:object protocol:string flow_id:string user_name:string? description:string? tag:string? "
     "initiator_party_id:string scheduler_party_id:string status_code:integer? inheritance:object "
     "model_id:string? model_version:string? engine_name:string cores:integer memory:integer "
     "remaining_cores:integer remaining_memory:integer resource_in_use:boolean "
     "apply_resource_time:integer? return_resource_time:integer? create_time:integer "
     "update_time:integer? start_time:integer? end_time:integer? elapsed:integer? reason:string? "
     "partners?:string[]}"},
    {"Task", "A party's part of a task",
     "{job_id:string task_id:string task_name:string task_version:integer role:string "
     "party_id:string component:string execution_id:string status:string party_status:string "
     "protocol:string scheduler_party_id:string status_code:integer? component_parameters:any "
     "task_run:any task_parameters:object engine_conf:object memory:integer task_cores:integer "
     "resource_in_use:boolean worker_id:string cmd:string[] run_ip:string? run_port:integer? "
     "run_pid:integer? provider_name:string? kill_status:boolean error_report:string? "
     "sync_type:string timeout:integer? launcher_name:string? create_time:integer "
     "update_time:integer? start_time:integer? end_time:integer? elapsed:integer? "
     "exit_code:integer? signal:integer? stderr_tail?:string? user_ms?:integer? sys_ms?:integer? "
     "max_rss_kb?:integer?}"},
    {"Plan", "What a job would do, and where",
     "{initiator_party_id:string scheduler_party_id:string priority:integer parties:object[] "
     "tasks:{task_name:string component:string stage:string depends_on:string[] "
     "parties:object[]}[] inherits?:object waits_for?:string[]}"},
    {"Progress", "How a job goes",
     "{change:integer job:{job_id:string status:string progress:integer submitted_ms:integer? "
     "start_ms:integer? end_ms:integer? elapsed_ms:integer? reason:string?} "
     "tasks:{task_name:string component:string status:string attempt:integer depends_on:string[] "
     "elapsed_ms:integer? parties:{role:string party_id:string status:string "
     "elapsed_ms:integer?}[]}[]}"},
    {"Failure", "The run that ended a job",
     "{task_name:string attempt:integer? role:string party_id:string status?:string "
     "exit_code:integer? signal:integer? error:string? stderr_tail:string? node_lost?:boolean}"},
    {"Why", "Why a job failed, waits or takes long",
     "{summary:string status:string lines:string[] first_failure?:Failure waiting?:object "
     "hint?:string}"},
    {"Event", "A step of a job's history",
     "{id:integer at_ms:integer task_name:string? role:string? party_id:string? attempt:integer? "
     "object:string from:string? to:string? reason:string? detail:any actor:string?}"},
    {"ServerSentEvent", "One of a stream; data is JSON, id is where to go on",
     "{event:string data:string id?:string}"},
    {"Timing", "How long the runs of a job waited and ran; null is what this site cannot know",
     "{job:{job_id:string status:string submitted_ms:integer start_ms:integer? end_ms:integer? "
     "waited_ms:integer? reserved_ms:integer? elapsed_ms:integer?} runs:{task_name:string "
     "attempt:integer role:string party_id:string status:string queued_ms:integer? "
     "sent_ms:integer? ran_ms:integer? reported_ms:integer?}[] totals:{queued_ms:integer? "
     "sent_ms:integer? ran_ms:integer? reported_ms:integer?}}"},
    {"Dependencies", "A party's tasks in topological order, and what each of them reads",
     "{component_list:string[] component_module:string{} component_stage:string{} "
     "dependencies:{type?:string model_type?:string component_name?:string "
     "up_output_info:string[]}[]{}}"},
    {"MetricGroup", "One of the groups a metric belongs to", "{name:string index:integer?}"},
    {"MetricKey", "The name of a metric",
     "{name:string type:string? groups:MetricGroup[] step_axis:string?}"},
    {"Metric", "What a task has reported at once",
     "{name:string type:string? groups:MetricGroup[] step_axis:string? data:any}"},
    {"Table", "A table of this site",
     "{namespace:string name:string count:integer? data_type:string engine:string path:string "
     "meta:object source:object display?:any[]}"},
    {"TrackedData", "Data that a task has left",
     "{namespace:string name:string count:integer? meta:object engine:string path:string "
     "source:object data_type:string}"},
    {"Route", "The way to a party",
     "{party_id:string url:string local:boolean last_ok_ms:integer? last_error:string? "
     "last_error_ms:integer?}"},
    {"RouteCheck", "The steps to another site, up to the first that fails",
     "{party_id:string url:string ok:boolean steps:{name:string ok:boolean detail:string "
     "ms:integer?}[]}"},
    {"Node", "A node of this site",
     "{node_id:string name:string duties:any address:string? version:string? started_ms:integer "
     "seen_ms:integer alive:boolean running:integer}"},
    {"Instance", "A node as FATE lists it",
     "{instance_id:string timestamp:integer version:string? grpc_port:integer? http_port:integer "
     "host:string}"},
    {"Engine", "Cores and memory, and who holds them",
     "{engine:string cores:integer cores_used:integer memory_mb:integer memory_mb_used:integer "
     "reservations:{job_id:string role:string party_id:string cores:integer memory_mb:integer "
     "granted_ms:integer? status:string}[]}"},
    {"Overview", "The site as it is now",
     "{now_ms:integer nodes:Node[] engines:Engine[] n_running:integer n_waiting:integer "
     "running:{job_id:string parties:string[] progress:integer? cores:integer memory_mb:integer "
     "start_ms:integer?}[] waiting:{job_id:string priority:integer submitted_ms:integer for:string "
     "detail:string?}[] ended:{job_id:string status:string parties:string[] end_ms:integer "
     "elapsed_ms:integer? reason:string?}[]}"},
    {"Findings", "What a node finds right and wrong; hint says what to do",
     "{node_id:string name:string now_ms:integer checks:{name:string status:string detail:string "
     "hint?:string}[]}"},
    {"Cleanup", "What was, or would be, deleted",
     "{n_jobs:integer bytes:integer more:boolean jobs:{job_id:string end_ms:integer "
     "bytes?:integer}[] partitions:string[]}"},
    {"Provider", "A program that has components",
     "{provider_name:string name:string version:string device:string metadata:object "
     "create_time:integer update_time:integer}"},
    {"Server", "A registered server",
     "{id:string server_name:string host:string port:integer protocol:string create_time:integer "
     "update_time:integer}"},
    {"Service", "A service of a registered server",
     "{server_name:string service_name:string url:string method:string params:object data:object "
     "headers:object create_time:integer update_time:integer}"},
    {"App", "An app that may call this site",
     "{app_id:string app_name:string app_token:string app_type:string create_time?:integer}"},
    {"AppListed", "An app and its roles, without its token",
     "{app_id:string app_name:string app_type:string roles:string[] create_time:integer}"},
    {"PartnerApp", "The app that another site has given us",
     "{party_id:string app_id:string app_token:string create_time:integer}"},
    {"AuditRow", "A change made through the API",
     "{audit_no:integer at_ms:integer request_id:string? app_id:string? user_name:string? "
     "remote:string? method:string path:string object:string? code:integer?}"},
};

json_t *openapi_records(void)
{
	json_t *all = json_object();

	for (size_t i = 0; i < ARRAY_LEN(records); i++) {
		json_t *type = openapi_type(records[i].type);
		json_object_set_new(type, "description", json_string(records[i].text));
		json_object_set_new(all, records[i].name, type);
	}
	return all;
}
