#include "party/peer.h"

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *peer_post(struct node *n, const struct peer_call *call, const void *body, size_t len,
		const char *content_type, http_response_cb *cb, void *arg)
{
	char *url = mem_printf("%s%s", call->url, call->path);
	const char *headers[16];
	size_t h = 0;

	headers[h++] = "dest-party-id";
	headers[h++] = call->dest_party;
	headers[h++] = "service";
	headers[h++] = "fateflow";
	headers[h++] = "X-Norn-Src-Party";
	headers[h++] = call->src_party;
	headers[h++] = "X-Norn-Protocol";
	headers[h++] = PEER_PROTOCOL_VERSION;
	if (call->key != NULL) {
		headers[h++] = "X-Norn-Key";
		headers[h++] = call->key;
	}
	if (call->job_id != NULL) {
		headers[h++] = "X-Norn-Job";
		headers[h++] = call->job_id;
	}
	headers[h] = NULL;
	const struct http_call c = {
	    .method = "POST",
	    .url = url,
	    .headers = headers,
	    .body = body,
	    .body_len = len,
	    .content_type = content_type,
	    .expect_party = str_starts(call->url, "https://") ? call->dest_party : NULL,
	    .timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : (int)n->conf->peer_timeout_ms,
	};
	void *handle = http_call_start(n->http, &c, cb, arg);
	free(url);
	return handle;
}

bool peer_answer(const struct http_response *res, enum err_code *code, char *text, size_t size)
{
	if (res->error != NULL) {
		*code = ERR_FEDERATED;
		snprintf(text, size, "%s", res->error->msg);
		return false;
	}
	json_t *c = json_object_get(res->json, "code");
	if (!json_is_integer(c)) {
		*code = ERR_FEDERATED;
		snprintf(text, size,
			 "HTTP %d without an envelope: is this a Norn or FATE-Flow site?",
			 res->status);
		return false;
	}
	*code = (enum err_code)json_integer_value(c);
	snprintf(text, size, "%s", js_str(res->json, "message", ""));
	return *code != ERR_DB_LOST && *code != ERR_DB_UNAVAILABLE;
}

const char *peer_task_name(const char *task_id, const char *job_id)
{
	size_t n = strlen(job_id);

	return strncmp(task_id, job_id, n) == 0 && task_id[n] == '_' ? task_id + n + 1 : NULL;
}
