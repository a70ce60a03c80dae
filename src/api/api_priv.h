/* SPDX-License-Identifier: MIT */
#pragma once

#include "api/api.h"
#include "base/bytes.h"
#include "base/json.h"
#include "http/router.h"
#include "net/hosts.h"
#include "publish/publisher.h"

enum route_access {
	ACCESS_PUBLIC,
	ACCESS_METRICS,
	ACCESS_STREAM,
	ACCESS_ANY,
	ACCESS_EDGE,
	ACCESS_ADMIN,
};

struct call;
typedef void route_fn(struct call *call);

/* Goes on in a session that is there.  0: it has answered the call, or will; else the fault does.
 */
typedef int call_in_session_fn(struct call *call, const char *user_id, struct fault *reterr);

struct route {
	const char *id;
	const char *method;
	const char *pattern;
	enum route_access access;
	unsigned scopes; /* any of them; 0: no more than a credential */
	const struct json_field *fields;
	route_fn *handler;
	const char *summary;
};

extern const struct route routes[];
extern const size_t n_routes;

extern const struct json_field token_fields[];
extern const struct json_field code_fields[];
extern const struct json_field exchange_fields[];
extern const struct json_field link_fields[];
extern const struct json_field activate_fields[];
extern const struct json_field rotate_fields[];

/* Stand for bodies that no one table describes: the hooks' and the canvas' own readers do. */
extern const struct json_field hook_body_fields[];
extern const struct json_field canvas_action_fields[];
extern const struct json_field canvas_list_fields[];
/* And for a body that is read by the protocol that it belongs to. */
extern const struct json_field mcp_fields[];

#define ROUTE(id, method, pattern, access, scopes, fields, summary) \
	void route_##id(struct call *call);
#include "api/routes.def"
#undef ROUTE

struct stream;
struct stream_user;
struct viewer;

struct api {
	struct api_deps deps;
	const struct settings *settings;
	struct http_router *router;
	struct hosts *allowed_hosts;
	struct hosts *trusted_proxies;
	char *address; /* "localhost:7070", or NULL: of what it listens on */
	struct panel *panel;
	struct figures *figures;
	char *public_origin; /* of server.public_base_url: "https://preview.example.org", or NULL */
	/* published.c: fields of every answer, and the two ends of a host of a page's own */
	char *page_fields, *bundle_fields, *own_host_fields;
	char *label_prefix, *label_suffix;
	struct bytes *openapi;
	struct traefik *traefik; /* what it got last, or NULL */
	struct stream *streams;
	struct socketio *socketio;
	struct mcp *mcp;
	struct viewer *viewers; /* sockets of Socket.IO */
	size_t n_streams;       /* and Socket.IO's clients */
	struct stream_user *stream_users;
	usec_t started;
	bool draining;
};

/*
 * One request on its way to its answer.  It ends with one of the api_reply functions, or when the
 * client leaves; its operation is let go with it.
 */
struct call {
	struct api *api;
	struct http_request *req;
	const struct route *route;
	struct http_match match;
	struct principal
		*principal; /* NULL on public routes and on streams not yet authenticated */
	struct registry_op *op;
	call_in_session_fn *next; /* when `op` has made the session */
	struct auth_op *auth_op;
	struct tasks_op *task_op;
	struct publisher_op *publisher_op;
	struct canvas_calls *canvas_calls;
	struct timer *deadline; /* of a hook's */
	cJSON *body; /* an object, or canvas_list_fields: a list; where the route has one */
};

/* dispatch.c */
const char *call_param(const struct call *call, const char *name);
struct session_ref call_session(const struct call *call);
/* A parameter of the query: 0 and a copy or NULL (not there); a field fault when malformed. */
int call_query(struct call *call, const char *name, char **ret, struct fault *reterr) must_use;
int call_authenticate(struct api *api, struct http_request *req, struct principal **ret,
		      struct fault *reterr) must_use;
/* The token of the Authorization field; NULL where there is none. */
int bearer_of(const struct http_request *req, const char **ret, struct fault *reterr) must_use;
int call_authorize(const struct route *route, const struct principal *principal,
		   struct fault *reterr) must_use;
struct call *call_free(struct call *call);

/*
 * session.c
 *
 * The first makes the session where it isn't there yet and the principal may: 1 it is there, go on;
 * 0 `ret` is under way, `done` comes when it is made or refused; refused at once, a fault.  The
 * others are that for a request, in the session its path names: they look it up for `next`, or
 * answer the call.  A body should be checked before, so that a wrong one makes no session.
 */
int session_ensure(struct api *api, struct principal *principal, const struct session_ref *ref,
		   registry_done_fn *done, void *arg, struct registry_op **ret,
		   struct fault *reterr) must_use;
void call_in_session(struct call *call, call_in_session_fn *next);
void call_in_session_or_new(struct call *call, call_in_session_fn *next);

/* guard.c: who asks from where */
int guard_new(struct api *api, const struct settings *settings, struct fault *reterr) must_use;
void guard_done(struct api *api);
int guard_check(struct api *api, struct http_request *req, struct fault *reterr) must_use;
/* The Host alone: for what is for pages of every origin. */
int guard_host(struct api *api, struct http_request *req, struct fault *reterr) must_use;
/* The fields that let an allowed origin's page read the answer. */
void guard_cors(struct http_request *req);
/* "'self'" for self and 'self', and so for none: a policy has them in quotes, settings may.  NULL
 * for others. */
const char *guard_csp_keyword(const char *source);
void guard_preflight(struct http_request *req, const char *allow);
/* Whether it comes from a proxy that is trusted. */
bool guard_behind_proxy(const struct api *api, const struct http_request *req);
/* "https" or "http": what the client spoke to the outermost proxy, or to us. */
const char *guard_scheme(const struct api *api, const struct http_request *req);
/* Whether an Origin is one of cors.origins. */
bool guard_lists_origin(const struct api *api, const char *origin);
/* The client's address, behind the proxies that are trusted; the caller frees. */
char *guard_client(const struct api *api, const struct http_request *req);

/* reply.c: each ends the call. */
/* Before the reply: where what it is about is from now on, in the session of the path. */
void api_location(struct call *call, const char *collection, const char *name);
void api_reply_json(struct call *call, int status, cJSON *document_consume);
void api_reply_text(struct call *call, int status, const char *content_type, const char *text);
void api_reply_fault(struct call *call, const struct fault *fault);
/* For requests that never became a call. */
void api_refuse(struct http_request *req, const struct fault *fault);
cJSON *problem_object(const struct fault *fault); /* the caller's */
char *problem_text(const struct fault *fault);

/* tokens.c */
/* Of one that was to be minted: {token, …}; NULL where it wasn't, which is answered. */
cJSON *token_minted(struct call *call, int result, const char *token, const struct token_info *info,
		    const struct fault *fault);
int scopes_of(char *const *list, unsigned *ret, struct fault *reterr) must_use;
int may_manage(const struct call *call, struct fault *reterr) must_use;

/* panel.c */
struct panel *panel_new(void);
struct panel *panel_free(struct panel *panel);
int panel_reload(struct panel *panel, const struct settings *settings,
		 struct fault *reterr) must_use;

/* figures.c */
struct figures *figures_new(struct loop *loop);
struct figures *figures_free(struct figures *figures);

/* openapi.c */
struct bytes *openapi_document(void);

/* snapshot.c: the payload of preview:snapshot as JSON text, which the caller frees.  Events up to
 * `ret_seq` are in it, also those that are still to come. */
char *snapshot_text(struct api *api, const char *session_id, uint64_t *ret_seq);

/* canvas.c: the row whose scopes let one write the canvas. */
const struct route *canvas_route(void);

/* events.c */
/* The row whose scopes let one follow events, over whichever transport. */
const struct route *stream_route(void);
/* What a client missed: as many as the journal says, which was sized at the daemon's start. */
struct missed {
	struct event **events;
	size_t n, capacity;
	size_t bytes; /* of their payloads */
};
/* bus_recover(), but a snapshot where what was missed is more than events.buffer. */
enum bus_recovery missed_recover(struct api *api, const char *session_id, uint64_t since,
				 const char *epoch, struct missed *ret);
void missed_done(struct missed *m);
/* Drops the oldest stream that has shown no credential yet; false where there is none. */
bool stream_drop_nameless(struct api *api);
void streams_end(struct api *api);
void streams_on_token_revoked(struct api *api, const char *token_id);

/* streams.c */
/* Whether there may be one more; every transport's are counted together. */
int streams_admit(struct api *api, struct fault *reterr) must_use;
/* One that has shown whose it is: `ret` is to leave at its end, NULL where nobody counts. */
int stream_user_enter(struct api *api, const struct principal *who, struct stream_user **ret,
		      struct fault *reterr) must_use;
void stream_user_leave(struct api *api, struct stream_user *u);

/* published.c: whether the request is for a page, a published one or one that comes with an app;
 * it is answered then. */
bool published_request(struct api *api, struct http_request *req);
int published_check(const struct settings *settings, struct fault *reterr) must_use;
void published_reload(struct api *api);
void published_end(struct api *api);

/* edge.c */
bool edge_is_path(const char *path);

/* traefik.c */
/* To who came before the proxy heard of a change. */
void edge_reply_soon(struct call *call);
struct traefik *traefik_free(struct traefik *traefik);

/* socketio.c */
bool socketio_is_path(const char *path);
void socketio_request(struct api *api, struct http_request *req);
void socketio_begin(struct api *api);
void socketio_end(struct api *api);
void socketio_reload(struct api *api);
void viewers_on_token_revoked(struct api *api, const char *token_id);
