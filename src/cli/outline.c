/* JSON as an outline for people. */
#include "config.h"
#include "cli/cmds.h"
#include "base/js.h"
#include "base/mem.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>

#define LIST_MAX   12
#define TEXT_MAX   120
#define INDENT_MAX 40

static bool is_scalar(const json_t *v)
{
	return !json_is_object(v) && !json_is_array(v);
}

/* One line for a scalar or a list of scalars. */
static char *inline_text(const json_t *v)
{
	char *text, *clean;

	if (json_is_string(v))
		text = mem_strdup(json_string_value(v));
	else
		text = js_dump_str(v);
	clean = text_clean_line(text);
	free(text);
	if (strlen(clean) > TEXT_MAX) {
		struct buf cut = {0};

		text_cut(&cut, clean, TEXT_MAX, false);
		free(clean);
		clean = buf_take(&cut);
	}
	return clean;
}

static bool is_flat(const json_t *v)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(v))
		return is_scalar(v) || (json_is_object(v) && json_object_size(v) == 0);
	json_array_foreach (v, i, item)
		if (!is_scalar(item))
			return false;
	return true;
}

static void print_entry(FILE *f, const char *label, json_t *v, int indent)
{
	char *clean = text_clean_line(label);

	if (is_flat(v)) {
		char *text = inline_text(v);

		fprintf(f, "%*s%s %s\n", indent * 2, "", clean, text);
		free(text);
	} else {
		fprintf(f, "%*s%s\n", indent * 2, "", clean);
		outline_print(f, v, indent + 1);
	}
	free(clean);
}

void outline_print(FILE *f, json_t *v, int indent)
{
	const char *key;
	json_t *item;
	size_t i;

	if (indent > INDENT_MAX)
		return;
	if (json_is_object(v)) {
		json_object_foreach (v, key, item) {
			char *label = mem_printf("%s:", key);

			print_entry(f, label, item, indent);
			free(label);
		}
	} else if (json_is_array(v) && !is_flat(v)) {
		json_array_foreach (v, i, item) {
			if (i == LIST_MAX) {
				fprintf(f, "%*s... %zu more\n", indent * 2, "",
					json_array_size(v) - i);
				break;
			}
			print_entry(f, "-", item, indent);
		}
	} else {
		char *text = inline_text(v);

		fprintf(f, "%*s%s\n", indent * 2, "", text);
		free(text);
	}
}
