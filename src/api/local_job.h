/* The jobs of one site alone that move data: party "0" of role local, tasks of the provider norn.
 */
#ifndef NORN_API_LOCAL_JOB_H
#define NORN_API_LOCAL_JOB_H

#include "auth/request.h"

/* Parameters of the task upload_0; takes meta. namespace and name NULL: the raw table only. */
struct upload_job {
	const char *file; /* absolute path at the site */
	bool head;
	int64_t partitions;
	json_t *meta;
	bool extend_sid;
	bool is_temp_file;
	const char *namespace_;
	const char *name;
	bool transform; /* with a transformer_0 behind it, also without namespace and name */
};
/* An uploaded file goes with the end of the job that reads it, however that ends; "" is none: it
 * goes now. */
void local_job_note_upload(struct node *n, const char *file, const char *job_id);

void local_job_upload(struct http_req *r, const struct upload_job *u);
void local_job_transform(struct http_req *r, const json_t *from, const char *namespace_,
			 const char *name, const char *site_name);
void local_job_download(struct http_req *r, const char *namespace_, const char *name,
			const char *path);

#endif
