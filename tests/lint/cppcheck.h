/* For cppcheck only: what it cannot follow of the loop and list macros of jansson and the system. */
#define json_array_foreach(a, i, v)                                                                \
	for ((i) = 0; (i) < json_array_size(a) && ((v) = json_array_get(a, i)); (i)++)
#define json_object_foreach(o, k, v)                                                               \
	for ((k) = json_object_iter_key(json_object_iter(o)); (k) && ((v) = json_object_get(o, k)); (k) = 0)
#define json_object_foreach_safe(o, n, k, v)                                                       \
	for ((k) = json_object_iter_key(json_object_iter(o)); (k) && ((v) = json_object_get(o, k)); (k) = 0)
#define LIST_HEAD(name, type)  struct name { struct type *first; }
#define SLIST_HEAD(name, type) struct name { struct type *first; }
#define TAILQ_HEAD(name, type) struct name { struct type *first; struct type **last; }
#define LIST_ENTRY(type)       struct { struct type *next; struct type **prev; }
#define SLIST_ENTRY(type)      struct { struct type *next; }
#define TAILQ_ENTRY(type)      struct { struct type *next; struct type **prev; }
#define LIST_FOREACH(v, h, f)  for ((v) = (h)->first; (v); (v) = (v)->f.next)
#define SLIST_FOREACH(v, h, f) for ((v) = (h)->first; (v); (v) = (v)->f.next)
#define TAILQ_FOREACH(v, h, f) for ((v) = (h)->first; (v); (v) = (v)->f.next)
