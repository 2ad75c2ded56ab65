#include "config.h"

#include "component/channel.h"

#include "base/str.h"
#include <string.h>

bool channel_send(struct channel *ch, const char *role, const char *party, const char *tag,
		  const void *data, size_t len, struct err *e)
{
	if (!str_is_name(tag, CHANNEL_TAG_MAX))
		return err_set(e, ERR_INTERNAL, "message tag '%s' is not a valid name", tag);
	return ch->ops->send(ch, role, party, tag, data, len, e) ||
	       err_prefix(e, "message %s to %s %s", tag, role, party);
}

bool channel_recv(struct channel *ch, const char *role, const char *party, const char *tag,
		  size_t max_len, struct buf *out, struct err *e)
{
	buf_reset(out);
	return ch->ops->recv(ch, role, party, tag, max_len, out, e) ||
	       err_prefix(e, "message %s from %s %s", tag, role, party);
}

void channel_free(struct channel *ch)
{
	if (ch != NULL)
		ch->ops->free(ch);
}
