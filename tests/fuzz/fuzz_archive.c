/*
 * Archives that a client sends as models: tar, zip and deflated data, by the first byte. What is
 * read lies within the input, keeps its limits, and reading ends.
 */
#include "config.h"
#include "api/inflate.h"
#include "api/untar.h"
#include "api/zip.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CONTENT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(int ok)
{
	if (!ok)
		abort();
}

static void read_tar(const char *data, size_t len)
{
	struct untar t = {data, len, 0};
	struct untar_file f;
	size_t before = 0;
	struct err e = {0};
	int got;

	while ((got = untar_next(&t, &f, &e)) > 0) {
		demand(t.at > before && t.at <= len);
		demand(f.data >= data && f.len <= (size_t)(data + len - f.data));
		demand(memchr(f.name, 0, sizeof(f.name)) != NULL);
		before = t.at;
	}
	demand(got == 0 || e.msg[0] != 0);
}

static void read_zip(const uint8_t *data, size_t len)
{
	int fd = memfd_create("zip", MFD_CLOEXEC);
	struct zip_reader z = {0};
	struct err e = {0};

	demand(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	if (!zip_open(&z, fd, &e)) {
		demand(e.msg[0] != 0);
		close(fd);
		return;
	}
	demand(z.n <= ZIP_ENTRIES_MAX);
	for (size_t i = 0; i < z.n && i < 100; i++) {
		struct buf out = {0};
		if (zip_read(&z, &z.entries[i], CONTENT_MAX, &out, &e))
			demand(out.len == z.entries[i].size && out.len <= CONTENT_MAX);
		buf_free(&out);
	}
	zip_close(&z);
	close(fd);
}

static void read_deflated(const uint8_t *data, size_t len)
{
	struct buf out = {0};
	struct err e = {0};
	size_t want;

	if (len < 2)
		return;
	want = (size_t)data[0] << 8 | data[1];
	if (inflate_all(data + 2, len - 2, want, &out, &e))
		demand(out.len == want);
	else
		demand(e.msg[0] != 0);
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] == 't')
		read_tar((const char *)data + 1, size - 1);
	else if (data[0] == 'z')
		read_zip(data + 1, size - 1);
	else
		read_deflated(data + 1, size - 1);
	return 0;
}
