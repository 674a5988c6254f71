/*
 * What a plain request costs most of its time, in C: the head of the request, a
 * request object, the way to the handler of a path without slots, the answer's bytes.
 *
 * Whatever is not plain is left to the engine in Python, which knows all of HTTP: a
 * head that is not complete, or has anything in it that decides about framing; a path
 * that is not among the lanes; an answer with a status, headers or cookies of its own
 * that have to be thought about. Nothing is refused here: what this does not take, the
 * engine judges. Its twin is plain.py; the same tests run against both.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

/* Names that are looked up, made once. */
static PyObject *s_lanes, *s_numbers, *s_id_start, *s_write, *s_log, *s_process, *s_loud;
static PyObject *s_default_type, *s_draining, *s_is_quick, *s_seconds;
static PyObject *s_found, *s_has_proxies, *s_way, *s_plain_body, *s_data_received;
static PyObject *s_pairs_slowly;
static PyObject *s_look, *s_asked_slowly, *s_proceed, *s_cleanup, *s_expect;
static PyObject *s_look_again, *s_response_headers, *s_set_raw_headers, *s_zero, *s_one;
static PyObject *s_http11, *s_html_type, *s_json_type, *s_ok, *s_html;

/* Given by set_up: Python functions, and the variable of telemetry.work. */
static PyObject *work_variable, *read_fields, *header_line, *known_lines, *opening_line;
static PyObject *write_json, *struct_type;
static PyTypeObject *request_type;

/* The methods that are read here. */
static struct {
    const char *text;
    PyObject *bytes;
} methods[] = {{"GET ", NULL}, {"POST ", NULL}, {"PUT ", NULL}, {"HEAD ", NULL},
               {"PATCH ", NULL}, {"DELETE ", NULL}, {"OPTIONS ", NULL}};
enum { METHODS = sizeof methods / sizeof *methods };

/* How most answers begin, and the second of which that is true. */
static PyObject *usual_opening;
static time_t usual_second;

static const unsigned char TCHAR = 1, PCHAR = 2, QCHAR = 4, TEXT = 8, HOST = 16;
static unsigned char kinds[256];

static void
fill_kinds(void)
{
    const char *extra = "!#$%&'*+-.^_`|~";
    for (int c = 0; c < 256; c++) {
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                     (c >= 'a' && c <= 'z');
        unsigned char kind = 0;
        if (alnum || (c && strchr(extra, c))) kind |= TCHAR;
        if (alnum || (c && strchr("-._~%!$&'()*+,;=:@/[]{}|^`", c)))
            kind |= PCHAR | QCHAR;
        if (c == '?' || c == '\\') kind |= QCHAR;
        if (c == '\t' || (c >= 0x20 && c <= 0x7e) || c >= 0x80) kind |= TEXT;
        /* Of hosts, the usual ones; the others are left to the engine. */
        if (alnum || c == '.' || c == '-' || c == '_') kind |= HOST;
        kinds[c] = kind;
    }
}

/* ------------------------------------------------------------ a request */

typedef struct {
    PyObject_HEAD
    PyObject *channel, *site, *method, *path, *query, *uri, *clientproto, *block;
    PyObject *fields, *route, *path_args, *context, *said, *entered, *line, *scope;
    PyObject *id, *headers, *cookies, *notifications, *content, *request_headers;
    PyObject *outcome, *encoder, *etag, *last_modified, *producer, *content_body;
    PyObject *phrase, *type; /* NULL for the usual ones */
    long long number, sent_length;
    double began;
    int code, started_writing, finished;
    char started, unwalked, disconnected, cut, fake_head;
} Request;

#define EACH_OBJECT(X) \
    X(channel) X(site) X(method) X(path) X(query) X(uri) X(clientproto) X(block) \
    X(fields) X(route) X(path_args) X(context) X(said) X(entered) X(line) X(scope) \
    X(id) X(headers) X(cookies) X(notifications) X(content) X(request_headers) \
    X(outcome) X(encoder) X(etag) X(last_modified) X(producer) X(content_body) \
    X(phrase) X(type)

static int
Request_traverse(Request *self, visitproc visit, void *arg)
{
#define VISIT(name) Py_VISIT(self->name);
    EACH_OBJECT(VISIT)
#undef VISIT
    return 0;
}

static int
Request_clear(Request *self)
{
#define CLEAR(name) Py_CLEAR(self->name);
    EACH_OBJECT(CLEAR)
#undef CLEAR
    return 0;
}

static void
Request_dealloc(Request *self)
{
    PyObject_GC_UnTrack(self);
    Request_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *
Request_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Request *self = (Request *)type->tp_alloc(type, 0);
    if (self != NULL) self->code = 200;
    return (PyObject *)self;
}

/* What a field has, or None: any may have been deleted from Python. */
static PyObject *
given(PyObject *value)
{
    return value == NULL ? Py_None : value;
}

static PyObject *
or_none(PyObject *value)
{
    return Py_NewRef(given(value));
}

static PyObject *
Request_get_uri(Request *self, void *closure)
{
    if (self->uri == NULL && self->path != NULL) {
        if (self->query == NULL) {
            self->uri = Py_NewRef(self->path);
        } else {
            PyObject *uri = Py_NewRef(self->path);
            PyBytes_Concat(&uri, self->query);
            if (uri == NULL) return NULL;
            self->uri = uri;
        }
    }
    return or_none(self->uri);
}

static int
Request_set_uri(Request *self, PyObject *value, void *closure)
{
    Py_XINCREF(value);
    Py_XSETREF(self->uri, value);
    return 0;
}

static PyObject *
Request_get_path(Request *self, void *closure)
{
    return or_none(self->path);
}

/* What was asked for stays what it was, whatever becomes of its path. */
static int
Request_set_path(Request *self, PyObject *value, void *closure)
{
    PyObject *uri = Request_get_uri(self, NULL);
    if (uri == NULL) return -1;
    Py_DECREF(uri);
    Py_XINCREF(value);
    Py_XSETREF(self->path, value);
    return 0;
}

/* The headers, read when somebody looks at them. */
static PyObject *
Request_get_fields(Request *self, void *closure)
{
    if (self->fields == NULL && self->block != NULL) {
        self->fields = PyObject_CallOneArg(read_fields, self->block);
        if (self->fields == NULL) return NULL;
    }
    return or_none(self->fields);
}

static int
Request_set_fields(Request *self, PyObject *value, void *closure)
{
    Py_XINCREF(value);
    Py_XSETREF(self->fields, value);
    return 0;
}

static PyObject *
Request_get_direct(Request *self, void *closure)
{
    return PyBool_FromLong(self->block != NULL ||
                           (self->fields != NULL && self->fields != Py_None));
}

static PyObject *
Request_get_phrase(Request *self, void *closure)
{
    return or_none(self->phrase == NULL ? s_ok : self->phrase);
}

static int
Request_set_phrase(Request *self, PyObject *value, void *closure)
{
    Py_XSETREF(self->phrase, value == s_ok ? NULL : Py_XNewRef(value));
    return 0;
}

static PyObject *
Request_get_type(Request *self, void *closure)
{
    return or_none(self->type == NULL ? s_html : self->type);
}

static int
Request_set_type(Request *self, PyObject *value, void *closure)
{
    Py_XSETREF(self->type, value == s_html ? NULL : Py_XNewRef(value));
    return 0;
}

static bool
is_there(PyObject *value)
{
    return value != NULL && value != Py_None;
}

/* A header as it is sent: (its usual name, the line); None for a special one. */
static PyObject *
find_line(PyObject *pair)
{
    if (known_lines == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "set_up comes first");
        return NULL;
    }
    PyObject *line = PyDict_GetItemWithError(known_lines, pair);
    if (line != NULL) return Py_NewRef(line);
    if (PyErr_Occurred()) PyErr_Clear(); /* not hashable: as any other wrong value */
    PyObject *both[] = {PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1)};
    return PyObject_Vectorcall(header_line, both, 2, NULL);
}

static PyObject *
Request_set_header(Request *self, PyObject *const *args, Py_ssize_t count,
                   PyObject *names)
{
    PyObject *said[2] = {NULL, NULL};
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    for (Py_ssize_t i = 0; i < count && i < 2; i++) said[i] = args[i];
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        int place = PyUnicode_CompareWithASCIIString(name, "name") == 0    ? 0
                    : PyUnicode_CompareWithASCIIString(name, "value") == 0 ? 1
                                                                           : -1;
        if (place < 0 || said[place] != NULL) {
            PyErr_Format(PyExc_TypeError, "setHeader() has no place for %R", name);
            return NULL;
        }
        said[place] = args[count + i];
    }
    if (count + named != 2) {
        PyErr_SetString(PyExc_TypeError, "setHeader() takes a name and a value");
        return NULL;
    }
    if (!is_there(self->headers)) {
        PyObject *pair = PyTuple_Pack(2, said[0], said[1]);
        PyObject *line = pair == NULL ? NULL : find_line(pair);
        Py_XDECREF(pair);
        if (line == NULL) return NULL;
        if (PyTuple_CheckExact(line) && PyTuple_GET_SIZE(line) == 2) {
            if (!is_there(self->said)) Py_XSETREF(self->said, PyDict_New());
            int bad = self->said == NULL ||
                      PyDict_SetItem(self->said, PyTuple_GET_ITEM(line, 0),
                                     PyTuple_GET_ITEM(line, 1));
            Py_DECREF(line);
            if (bad) return NULL;
            Py_RETURN_NONE;
        }
        Py_DECREF(line);
    }
    PyObject *headers = PyObject_GetAttr((PyObject *)self, s_response_headers);
    if (headers == NULL) return NULL;
    PyObject *result = NULL, *values = Py_BuildValue("[O]", said[1]);
    if (values != NULL)
        result = PyObject_CallMethodObjArgs(headers, s_set_raw_headers, said[0], values,
                                            NULL);
    Py_XDECREF(values);
    Py_DECREF(headers);
    return result;
}

/* ---------------------------------------------------------- a connection */

typedef struct {
    PyObject_HEAD
    PyObject *site, *transport, *request, *body, *persistent, *waiting, *reader;
    char *out;
    Py_ssize_t size, room;
    long long left, served, unsent;
    Py_ssize_t longest_line, most_headers, most_header_bytes;
    double since;
    char batching, deaf, closing, waits_for_transport, lost, fresh, quick;
    char waits_for_head;
} Channel;

static PyTypeObject ChannelType;

/* Bytes of answers that are collected before they are written. */
enum { BATCH = 64 * 1024 };

static int
Channel_traverse(Channel *self, visitproc visit, void *arg)
{
    Py_VISIT(self->site);
    Py_VISIT(self->transport);
    Py_VISIT(self->request);
    Py_VISIT(self->body);
    Py_VISIT(self->persistent);
    Py_VISIT(self->waiting);
    Py_VISIT(self->reader);
    return 0;
}

static int
Channel_clear(Channel *self)
{
    Py_CLEAR(self->site);
    Py_CLEAR(self->transport);
    Py_CLEAR(self->request);
    Py_CLEAR(self->body);
    Py_CLEAR(self->persistent);
    Py_CLEAR(self->waiting);
    Py_CLEAR(self->reader);
    return 0;
}

static void
Channel_dealloc(Channel *self)
{
    PyObject_GC_UnTrack(self);
    Channel_clear(self);
    PyMem_Free(self->out);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *
Channel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Channel *self = (Channel *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->persistent = Py_NewRef(Py_True);
        self->waiting = PyBytes_FromStringAndSize(NULL, 0);
        self->unsent = 256 * 1024;
        self->fresh = self->waits_for_head = 1;
    }
    return (PyObject *)self;
}

static char *
make_room(Channel *self, Py_ssize_t more)
{
    if (self->out == NULL || self->size + more > self->room) {
        Py_ssize_t room = self->size + more + 1024;
        char *out = PyMem_Realloc(self->out, room);
        if (out == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        self->out = out;
        self->room = room;
    }
    return self->out + self->size;
}

static int
hand_over(Channel *self, PyObject *data)
{
    if (!is_there(self->transport)) return 0;
    PyObject *transport = Py_NewRef(self->transport);
    PyObject *done = PyObject_CallMethodOneArg(transport, s_write, data);
    Py_DECREF(transport);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int
flush(Channel *self)
{
    if (self->size == 0) return 0;
    PyObject *data = PyBytes_FromStringAndSize(self->out, self->size);
    self->size = 0;
    PyMem_Free(self->out); /* idle connections keep nothing */
    self->out = NULL;
    self->room = 0;
    if (data == NULL) return -1;
    int bad = hand_over(self, data);
    Py_DECREF(data);
    return bad;
}

static PyObject *
Channel_flush(Channel *self, PyObject *Py_UNUSED(ignored))
{
    if (flush(self) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *
Channel_discard(Channel *self, PyObject *Py_UNUSED(ignored))
{
    self->size = 0;
    Py_RETURN_NONE;
}

static PyObject *
Channel_write(Channel *self, PyObject *data)
{
    if (!self->batching) {
        if (flush(self) < 0 || hand_over(self, data) < 0) return NULL;
        Py_RETURN_NONE;
    }
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) return NULL;
    char *place = make_room(self, view.len);
    if (place != NULL) {
        memcpy(place, view.buf, view.len);
        self->size += view.len;
    }
    PyBuffer_Release(&view);
    if (place == NULL || (self->size > BATCH && flush(self) < 0)) return NULL;
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------ the answer */

static char *
put(char *place, const char *text, Py_ssize_t size)
{
    memcpy(place, text, size);
    return place + size;
}

static void
put_low(char *place, const char *text, Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < size; i++)
        place[i] = text[i] >= 'A' && text[i] <= 'Z' ? text[i] | 0x20 : text[i];
}

static bool
is_text(PyObject *bytes)
{
    if (PyBytes_CheckExact(bytes)) return true;
    PyErr_Format(PyExc_TypeError, "a part of an answer is not bytes but %R", bytes);
    return false;
}

static char *
put_bytes(char *place, PyObject *text)
{
    return put(place, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text));
}

static char *
put_number(char *place, unsigned long long number)
{
    char digits[24], *start = digits + sizeof digits;
    do {
        *--start = '0' + number % 10;
        number /= 10;
    } while (number);
    return put(place, start, digits + sizeof digits - start);
}

static bool
says(PyObject *bytes, const char *text)
{
    return bytes != NULL && PyBytes_CheckExact(bytes) &&
           PyBytes_GET_SIZE(bytes) == (Py_ssize_t)strlen(text) &&
           !memcmp(PyBytes_AS_STRING(bytes), text, strlen(text));
}

/* Whether an answer can be written as it is, by us. */
static bool
is_plain(Request *self, Channel *channel, Py_ssize_t size)
{
    return !is_there(self->headers) && !is_there(self->cookies) &&
           !is_there(self->etag) && !is_there(self->last_modified) &&
           !is_there(self->encoder) && !is_there(self->producer) &&
           !is_there(self->id) && !self->started_writing && !self->finished &&
           !self->disconnected && !self->cut && !self->fake_head &&
           self->code >= 200 && self->code != 204 && self->code != 304 &&
           channel->persistent == Py_True && size <= channel->unsent &&
           says(self->clientproto, "HTTP/1.1") && !says(self->method, "HEAD") &&
           channel->request == (PyObject *)self;
}

/*
 * Write an answer: "opening" has the status line and who says it, "id_start" the header
 * with the request's id as far as its number. "kind" is a header that is said unless
 * there is one of this name.
 */
static int
compose(Request *self, Channel *channel, PyObject *opening, PyObject *id_start,
        PyObject *kind, const char *body, Py_ssize_t size)
{
    if (!is_text(opening) || !is_text(id_start) || (is_there(kind) && !is_text(kind)))
        return -1;
    Py_ssize_t need = PyBytes_GET_SIZE(opening) + PyBytes_GET_SIZE(id_start) + 96 + size;
    PyObject *name, *line;
    Py_ssize_t at = 0;
    bool has_type = false;
    if (is_there(self->said)) {
        while (PyDict_Next(self->said, &at, &name, &line)) {
            if (!is_text(line)) return -1;
            need += PyBytes_GET_SIZE(line);
            has_type = has_type || says(name, "Content-Type");
        }
    }
    /* Of an empty body Twisted says nothing, but text is text. */
    bool add_type = !has_type && is_there(kind) && (size > 0 || kind == s_html_type);
    if (add_type) need += PyBytes_GET_SIZE(kind);
    char *start = make_room(channel, need), *place = start;
    if (place == NULL) return -1;
    place = put_bytes(place, opening);
    if (PyBytes_GET_SIZE(id_start)) {
        place = put_bytes(place, id_start);
        place = put_number(place, self->number);
        place = put(place, "\r\n", 2);
    }
    if (is_there(self->said)) {
        at = 0;
        while (PyDict_Next(self->said, &at, &name, &line)) place = put_bytes(place, line);
    }
    if (add_type) place = put_bytes(place, kind);
    place = put(place, "Content-Length: ", 16);
    place = put_number(place, size);
    place = put(place, "\r\n\r\n", 4);
    place = put(place, body, size);
    channel->size += place - start;
    self->started_writing = 1;
    self->sent_length = size;
    return 0;
}

/* End a request whose answer is written. */
static int
finish(Request *self, Channel *channel, bool loud)
{
    if (loud) {
        PyObject *site = or_none(self->site);
        PyObject *done = PyObject_CallMethodOneArg(site, s_log, (PyObject *)self);
        Py_DECREF(site);
        if (done == NULL) return -1;
        Py_DECREF(done);
    }
    self->finished = 1;
    Py_CLEAR(self->context); /* which knows us */
    if (is_there(self->notifications) || is_there(self->content) || !channel->batching ||
        channel->persistent != Py_True) {
        PyObject *done = PyObject_CallMethodNoArgs((PyObject *)self, s_cleanup);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    Py_CLEAR(self->channel);
    Py_CLEAR(channel->request);
    channel->served++;
    return 0;
}

/* Of a Python object: an attribute that is bytes, or NULL. */
static PyObject *
get_bytes(PyObject *owner, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(given(owner), name);
    if (value != NULL && !PyBytes_CheckExact(value)) {
        PyErr_Format(PyExc_TypeError, "%U is not bytes", name);
        Py_CLEAR(value);
    }
    return value;
}

static int
is_true(PyObject *owner, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(given(owner), name);
    if (value == NULL) return -1;
    int truth = PyObject_IsTrue(value);
    Py_DECREF(value);
    return truth;
}

static int
note_opening(void)
{
    time_t now = time(NULL);
    if (usual_opening != NULL && now == usual_second) return 0;
    PyObject *opening = PyObject_CallFunction(opening_line, "OiO", s_http11, 200, s_ok);
    if (opening == NULL) return -1;
    if (!PyBytes_CheckExact(opening)) {
        Py_DECREF(opening);
        PyErr_SetString(PyExc_TypeError, "the opening is bytes");
        return -1;
    }
    Py_XSETREF(usual_opening, opening);
    usual_second = now;
    return 0;
}

/* answer_plainly(body): whether it was plain, and is written now. */
static PyObject *
Request_answer_plainly(Request *self, PyObject *body)
{
    if (!PyBytes_CheckExact(body) || self->channel == NULL ||
        !PyObject_TypeCheck(self->channel, &ChannelType))
        Py_RETURN_FALSE;
    Channel *channel = (Channel *)self->channel;
    if (!is_plain(self, channel, PyBytes_GET_SIZE(body))) Py_RETURN_FALSE;
    int draining = is_true(self->site, s_draining);
    if (draining) return draining < 0 ? NULL : Py_NewRef(Py_False);
    PyObject *opening = NULL, *id_start = NULL, *kind = NULL;
    PyObject *result = NULL;
    Py_INCREF(channel);
    if (self->code == 200 && self->phrase == NULL) {
        opening = note_opening() < 0 ? NULL : Py_NewRef(usual_opening);
    } else {
        opening = PyObject_CallFunction(opening_line, "OiO", self->clientproto,
                                        self->code,
                                        self->phrase == NULL ? s_ok : self->phrase);
    }
    if (opening == NULL) goto done;
    id_start = get_bytes(self->site, s_id_start);
    if (id_start == NULL) goto done;
    if (self->type == Py_None) {
        kind = PyBytes_FromStringAndSize(NULL, 0);
    } else {
        kind = PyObject_CallMethodNoArgs((PyObject *)self, s_default_type);
    }
    if (kind == NULL || !is_text(kind)) goto done;
    int loud = is_true(self->site, s_loud);
    if (loud < 0) goto done;
    if (compose(self, channel, opening, id_start, PyBytes_GET_SIZE(kind) ? kind : NULL,
                PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body)) < 0)
        goto done;
    if ((!channel->batching || channel->size > BATCH) && flush(channel) < 0) goto done;
    if (finish(self, channel, loud) < 0) goto done;
    result = Py_NewRef(Py_True);
done:
    Py_DECREF(channel);
    Py_XDECREF(opening);
    Py_XDECREF(id_start);
    Py_XDECREF(kind);
    return result;
}

static PyObject *Request_asked_header(Request *, PyObject *);
static PyObject *Request_header_pairs(Request *, PyObject *);
static PyObject *Channel_data_received(Channel *, PyObject *);

static PyMethodDef Request_methods[] = {
    {"asked_header", (PyCFunction)Request_asked_header, METH_O,
     "What the request says in a header: all values. Its name is in lower case."},
    {"header_pairs", (PyCFunction)Request_header_pairs, METH_NOARGS,
     "Names and values of the headers, in their order; the names in lower case."},
    {"setHeader", (PyCFunction)(void (*)(void))Request_set_header,
     METH_FASTCALL | METH_KEYWORDS,
     "Say something in a header of the answer, in place of what was said before."},
    {"_answer_plainly", (PyCFunction)Request_answer_plainly, METH_O,
     "Write an answer and finish it, if it is plain; whether it was."},
    {NULL}};

#define OBJECT(name, field) {name, T_OBJECT, offsetof(Request, field), 0, NULL}
static PyMemberDef Request_members[] = {
    {"channel", T_OBJECT_EX, offsetof(Request, channel), 0, NULL},
    OBJECT("site", site), OBJECT("method", method),
    OBJECT("clientproto", clientproto), OBJECT("route", route),
    OBJECT("path_args", path_args), OBJECT("context", context), OBJECT("_said", said),
    OBJECT("_entered", entered), OBJECT("_line", line), OBJECT("scope", scope),
    OBJECT("_id", id), OBJECT("_headers", headers), OBJECT("_cookies", cookies),
    OBJECT("_notifications", notifications), OBJECT("_content", content),
    OBJECT("_request_headers", request_headers), OBJECT("outcome", outcome),
    OBJECT("_encoder", encoder), OBJECT("etag", etag),
    OBJECT("lastModified", last_modified), OBJECT("producer", producer),
    OBJECT("body", content_body),
    {"number", T_LONGLONG, offsetof(Request, number), 0, NULL},
    {"sentLength", T_LONGLONG, offsetof(Request, sent_length), 0, NULL},
    {"began", T_DOUBLE, offsetof(Request, began), 0, NULL},
    {"code", T_INT, offsetof(Request, code), 0, NULL},
    {"startedWriting", T_INT, offsetof(Request, started_writing), 0, NULL},
    {"finished", T_INT, offsetof(Request, finished), 0, NULL},
    {"_started", T_BOOL, offsetof(Request, started), 0, NULL},
    {"unwalked", T_BOOL, offsetof(Request, unwalked), 0, NULL},
    {"_disconnected", T_BOOL, offsetof(Request, disconnected), 0, NULL},
    {"_cut", T_BOOL, offsetof(Request, cut), 0, NULL},
    {"_inFakeHead", T_BOOL, offsetof(Request, fake_head), 0, NULL},
    {NULL}};
#undef OBJECT

static PyGetSetDef Request_computed[] = {
    {"uri", (getter)Request_get_uri, (setter)Request_set_uri, NULL, NULL},
    {"path", (getter)Request_get_path, (setter)Request_set_path, NULL, NULL},
    {"code_message", (getter)Request_get_phrase, (setter)Request_set_phrase, NULL, NULL},
    {"defaultContentType", (getter)Request_get_type, (setter)Request_set_type, NULL,
     NULL},
    {"_fields", (getter)Request_get_fields, (setter)Request_set_fields, NULL, NULL},
    {"direct", (getter)Request_get_direct, NULL,
     "Whether the engine has read it, and writes its answer.", NULL},
    {NULL}};

static PyTypeObject RequestType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "ropewalk.web._quick.RequestBase",
    .tp_doc = "What every request has, and the usual way to its answer.",
    .tp_basicsize = sizeof(Request),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = Request_new,
    .tp_dealloc = (destructor)Request_dealloc,
    .tp_traverse = (traverseproc)Request_traverse,
    .tp_clear = (inquiry)Request_clear,
    .tp_methods = Request_methods,
    .tp_members = Request_members,
    .tp_getset = Request_computed,
};

static PyMethodDef Channel_methods[] = {
    {"dataReceived", (PyCFunction)Channel_data_received, METH_O,
     "Take what has come."},
    {"write", (PyCFunction)Channel_write, METH_O,
     "Write, or collect what is to be written when all has been looked at."},
    {"_flush", (PyCFunction)Channel_flush, METH_NOARGS, "Write what is collected."},
    {"_discard", (PyCFunction)Channel_discard, METH_NOARGS, "Forget it."},
    {NULL}};

static PyMemberDef Channel_members[] = {
    {"site", T_OBJECT, offsetof(Channel, site), 0, NULL},
    {"transport", T_OBJECT, offsetof(Channel, transport), 0, NULL},
    {"_request", T_OBJECT, offsetof(Channel, request), 0, NULL},
    {"_body", T_OBJECT, offsetof(Channel, body), 0, NULL},
    {"persistent", T_OBJECT, offsetof(Channel, persistent), 0, NULL},
    {"_waiting", T_OBJECT, offsetof(Channel, waiting), 0, NULL},
    {"_reader", T_OBJECT, offsetof(Channel, reader), 0, NULL},
    {"_since", T_DOUBLE, offsetof(Channel, since), 0, NULL},
    {"_longest_line", T_PYSSIZET, offsetof(Channel, longest_line), 0, NULL},
    {"_most_headers", T_PYSSIZET, offsetof(Channel, most_headers), 0, NULL},
    {"_most_header_bytes", T_PYSSIZET, offsetof(Channel, most_header_bytes), 0, NULL},
    {"_fresh", T_BOOL, offsetof(Channel, fresh), 0, NULL},
    {"_quick", T_BOOL, offsetof(Channel, quick), 0, NULL},
    {"_waits_for_head", T_BOOL, offsetof(Channel, waits_for_head), 0, NULL},
    {"_left", T_LONGLONG, offsetof(Channel, left), 0, NULL},
    {"_served", T_LONGLONG, offsetof(Channel, served), 0, NULL},
    {"unsent", T_LONGLONG, offsetof(Channel, unsent), 0, NULL},
    {"_batching", T_BOOL, offsetof(Channel, batching), 0, NULL},
    {"_deaf", T_BOOL, offsetof(Channel, deaf), 0, NULL},
    {"_closing", T_BOOL, offsetof(Channel, closing), 0, NULL},
    {"_waitingForTransport", T_BOOL, offsetof(Channel, waits_for_transport), 0, NULL},
    {"_lost", T_BOOL, offsetof(Channel, lost), 0, NULL},
    {NULL}};

static PyTypeObject ChannelType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "ropewalk.web._quick.ChannelBase",
    .tp_doc = "What every connection has, and what waits to be written on it.",
    .tp_basicsize = sizeof(Channel),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = Channel_new,
    .tp_dealloc = (destructor)Channel_dealloc,
    .tp_traverse = (traverseproc)Channel_traverse,
    .tp_clear = (inquiry)Channel_clear,
    .tp_methods = Channel_methods,
    .tp_members = Channel_members,
};

/* ----------------------------------------------------------- the request */

/* Where the parts of a head are. */
typedef struct {
    const char *path, *query, *block, *end;
    PyObject *method;
    Py_ssize_t path_size, query_size, line_size, length;
    int lines;
} Head;

static bool
same(const char *text, const char *lower, Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < size; i++) {
        char c = text[i];
        if (c >= 'A' && c <= 'Z') c |= 0x20;
        if (c != lower[i]) return false;
    }
    return true;
}

/* Headers of which a request may have one; a bit for each. 0 for any other. */
enum { A_HOST = 1, A_LENGTH = 2, A_TYPE = 4, AN_AUTHORIZATION = 8, A_CODING = 16,
       A_PROXY = 32, A_CONNECTION = 64, FOR_THE_ENGINE = 128 };

static int
kind_of(const char *name, Py_ssize_t size)
{
    switch (size) {
    case 4: return same(name, "host", 4) ? A_HOST : 0;
    case 6: return same(name, "expect", 6) ? FOR_THE_ENGINE : 0;
    case 7: return same(name, "upgrade", 7) ? FOR_THE_ENGINE : 0;
    case 10: return same(name, "connection", 10) ? A_CONNECTION : 0;
    case 12: return same(name, "content-type", 12) ? A_TYPE : 0;
    case 13: return same(name, "authorization", 13) ? AN_AUTHORIZATION : 0;
    case 14: return same(name, "content-length", 14) ? A_LENGTH : 0;
    case 16: return same(name, "content-encoding", 16) ? A_CODING : 0;
    case 17: return same(name, "transfer-encoding", 17) ? FOR_THE_ENGINE : 0;
    case 19: return same(name, "proxy-authorization", 19) ? A_PROXY : 0;
    default: return 0;
    }
}

/* A host as most are: a name or an address of IPv4, and perhaps a port. */
static bool
is_host(const char *text, const char *end)
{
    const char *at = text;
    while (at < end && kinds[(unsigned char)*at] & HOST) at++;
    if (at == text) return false;
    if (at == end) return true;
    if (*at++ != ':') return false;
    long port = 0;
    if (at == end || end - at > 5) return false;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9') return false;
        port = port * 10 + (*at - '0');
    }
    return port <= 65535;
}

/* How long a body is said to be; -1 when that is no number, or so large that it may be
 * none of C's, of 32 bits. */
static Py_ssize_t
read_length(const char *text, const char *end)
{
    Py_ssize_t length = 0;
    if (text == end || end - text > 9) return -1;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9') return -1;
        length = length * 10 + (*text - '0');
    }
    return length;
}

/*
 * Read a head (RFC 9112): of HTTP/1.1, for a path, with one Host, and nothing in its
 * headers that would have to be thought about but what a connection does by itself.
 * Whether it was one.
 */
static bool
read_head(const char *at, const char *end, Head *head)
{
    const char *start = at;
    if (end - at < 18) return false;
    head->method = NULL;
    for (int i = 0; i < METHODS && head->method == NULL; i++) {
        size_t size = strlen(methods[i].text);
        if (!memcmp(at, methods[i].text, size)) {
            head->method = methods[i].bytes;
            at += size;
        }
    }
    if (head->method == NULL || *at != '/') return false;
    head->path = at;
    while (at < end && kinds[(unsigned char)*at] & PCHAR) at++;
    head->path_size = at - head->path;
    head->query = NULL;
    head->query_size = 0;
    if (at < end && *at == '?') {
        head->query = at++;
        while (at < end && kinds[(unsigned char)*at] & QCHAR) at++;
        head->query_size = at - head->query;
    }
    if (end - at < 13 || memcmp(at, " HTTP/1.1\r\n", 11)) return false;
    at += 11;
    head->line_size = at - start - 2;
    head->block = at;
    head->lines = 0;
    head->length = 0;
    int seen = 0;
    while (at < end && *at != '\r') {
        const char *name = at;
        while (at < end && kinds[(unsigned char)*at] & TCHAR) at++;
        Py_ssize_t size = at - name;
        if (size == 0 || at >= end || *at != ':') return false;
        const char *value = ++at;
        while (at < end && kinds[(unsigned char)*at] & TEXT) at++;
        if (end - at < 2 || at[0] != '\r' || at[1] != '\n') return false;
        const char *last = at;
        at += 2;
        head->lines++;
        int kind = kind_of(name, size);
        if (!kind) continue;
        if (kind == FOR_THE_ENGINE || seen & kind) return false;
        seen |= kind;
        while (value < last && (*value == ' ' || *value == '\t')) value++;
        while (last > value && (last[-1] == ' ' || last[-1] == '\t')) last--;
        if (kind == A_HOST && !is_host(value, last)) return false;
        if (kind == A_CONNECTION &&
            (last - value != 10 || !same(value, "keep-alive", 10)))
            return false;
        if (kind == A_LENGTH && (head->length = read_length(value, last)) < 0)
            return false;
    }
    if (!(seen & A_HOST) || end - at < 2 || at[0] != '\r' || at[1] != '\n') return false;
    head->end = at + 2;
    return true;
}

/* Calls "each" with every value of a header; stops when that returns other than 0. */
static int
find_values(PyObject *block, const char *wanted, Py_ssize_t wanted_size,
            int (*each)(const char *, Py_ssize_t, void *), void *given)
{
    const char *at = PyBytes_AS_STRING(block), *end = at + PyBytes_GET_SIZE(block);
    while (at < end) {
        const char *name = at, *last = memchr(at, '\r', end - at);
        if (last == NULL) break;
        at = last + 2;
        if (last - name <= wanted_size || name[wanted_size] != ':' ||
            !same(name, wanted, wanted_size))
            continue;
        const char *value = name + wanted_size + 1;
        while (value < last && (*value == ' ' || *value == '\t')) value++;
        while (last > value && (last[-1] == ' ' || last[-1] == '\t')) last--;
        int stop = each(value, last - value, given);
        if (stop) return stop;
    }
    return 0;
}

static int
add_value(const char *value, Py_ssize_t size, void *given)
{
    PyObject *bytes = PyBytes_FromStringAndSize(value, size);
    if (bytes == NULL) return -1;
    int bad = PyList_Append(given, bytes);
    Py_DECREF(bytes);
    return bad;
}

static int
is_not_json(const char *value, Py_ssize_t size, void *Py_UNUSED(given))
{
    return !(size == 3 && !memcmp(value, "*/*", 3)) &&
           !(size == 16 && !memcmp(value, "application/json", 16));
}

/* asked_header(name): all values of a header of the request. */
static PyObject *
Request_asked_header(Request *self, PyObject *name)
{
    if (is_there(self->request_headers) || self->block == NULL ||
        !PyBytes_CheckExact(name))
        return PyObject_CallMethodOneArg((PyObject *)self, s_asked_slowly, name);
    PyObject *values = PyList_New(0);
    bool is_name = memchr(PyBytes_AS_STRING(name), ':', PyBytes_GET_SIZE(name)) == NULL;
    if (values != NULL && is_name && find_values(self->block, PyBytes_AS_STRING(name),
                                      PyBytes_GET_SIZE(name), add_value, values))
        Py_CLEAR(values);
    return values;
}

/* A header as a pair, with its name in lower case. */
static PyObject *
make_pair(const char *name, Py_ssize_t size, const char *value, Py_ssize_t value_size)
{
    PyObject *pair = PyTuple_New(2);
    if (pair == NULL) return NULL;
    PyObject *low = PyBytes_FromStringAndSize(NULL, size);
    PyObject *rest = PyBytes_FromStringAndSize(value, value_size);
    if (low == NULL || rest == NULL) {
        Py_XDECREF(low);
        Py_XDECREF(rest);
        Py_DECREF(pair);
        return NULL;
    }
    put_low(PyBytes_AS_STRING(low), name, size);
    PyTuple_SET_ITEM(pair, 0, low);
    PyTuple_SET_ITEM(pair, 1, rest);
    return pair;
}

/* header_pairs(): names and values of the headers of the request, in their order. */
static PyObject *
Request_header_pairs(Request *self, PyObject *Py_UNUSED(ignored))
{
    if (is_there(self->request_headers) || self->block == NULL)
        return PyObject_CallMethodNoArgs((PyObject *)self, s_pairs_slowly);
    PyObject *pairs = PyList_New(0);
    const char *at = PyBytes_AS_STRING(self->block);
    const char *end = at + PyBytes_GET_SIZE(self->block);
    while (pairs != NULL && at < end) {
        const char *name = at, *last = memchr(at, '\r', end - at);
        const char *colon = last == NULL ? NULL : memchr(at, ':', last - at);
        if (colon == NULL) break;
        const char *value = colon + 1;
        at = last + 2;
        while (value < last && (*value == ' ' || *value == '\t')) value++;
        while (last > value && (last[-1] == ' ' || last[-1] == '\t')) last--;
        PyObject *pair = make_pair(name, colon - name, value, last - value);
        if (pair == NULL || PyList_Append(pairs, pair) < 0) Py_CLEAR(pairs);
        Py_XDECREF(pair);
    }
    return pairs;
}

static PyObject *
make_request(Channel *channel, const Head *head, double now)
{
    Request *self = (Request *)request_type->tp_alloc(request_type, 0);
    if (self == NULL) return NULL;
    self->code = 200;
    self->channel = Py_NewRef((PyObject *)channel);
    self->line = Py_NewRef((PyObject *)channel);
    self->site = or_none(channel->site);
    self->method = Py_NewRef(head->method);
    self->clientproto = Py_NewRef(s_http11);
    self->path = PyBytes_FromStringAndSize(head->path, head->path_size);
    self->block = PyBytes_FromStringAndSize(head->block, head->end - 2 - head->block);
    if (head->query != NULL)
        self->query = PyBytes_FromStringAndSize(head->query, head->query_size);
    if (head->length)
        self->content_body = PyBytes_FromStringAndSize(head->end, head->length);
    self->began = now;
    self->unwalked = 1;
    if (self->path == NULL || self->block == NULL ||
        (head->query != NULL && self->query == NULL) ||
        (head->length && self->content_body == NULL)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* Of what a batch of requests needs of its site, looked up once. */
typedef struct {
    PyObject *lanes, *numbers, *id_start;
    int has_proxies;
} Batch;

static void
end_batch(Batch *batch)
{
    Py_XDECREF(batch->lanes);
    Py_XDECREF(batch->numbers);
    Py_XDECREF(batch->id_start);
}

static int
begin_batch(Batch *batch, PyObject *site)
{
    if (opening_line == NULL || request_type == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "set_up and set_request come first");
        return -1;
    }
    if ((batch->lanes = PyObject_GetAttr(site, s_lanes)) == NULL ||
        (batch->numbers = PyObject_GetAttr(site, s_numbers)) == NULL ||
        (batch->id_start = get_bytes(site, s_id_start)) == NULL ||
        (batch->has_proxies = is_true(site, s_has_proxies)) < 0)
        return -1;
    if (!PyDict_CheckExact(batch->lanes) || !PyIter_Check(batch->numbers)) {
        PyErr_SetString(PyExc_TypeError, "lanes are a dict, numbers an iterator");
        return -1;
    }
    return note_opening();
}

static int
give_number(Request *request, PyObject *numbers)
{
    PyObject *number = PyIter_Next(numbers);
    if (number == NULL) {
        if (!PyErr_Occurred()) PyErr_SetNone(PyExc_StopIteration);
        return -1;
    }
    request->number = PyLong_AsLongLong(number);
    Py_DECREF(number);
    return request->number == -1 && PyErr_Occurred() ? -1 : 0;
}

/* Let the engine go on with what a handler returned or raised. */
static int
go_on(Request *request, PyObject *answer)
{
    PyObject *done;
    if (answer != NULL) {
        done = PyObject_CallMethodOneArg((PyObject *)request, s_proceed, answer);
    } else {
        PyObject *kind, *error, *trace;
        PyErr_Fetch(&kind, &error, &trace);
        PyErr_NormalizeException(&kind, &error, &trace);
        if (trace != NULL) PyException_SetTraceback(error, trace);
        done = PyObject_CallMethodObjArgs((PyObject *)request, s_proceed, Py_None, error,
                                          NULL);
        Py_XDECREF(kind);
        Py_XDECREF(error);
        Py_XDECREF(trace);
    }
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/*
 * The JSON of a value, where that is what it is to be sent as; NULL otherwise, with no
 * error set: the engine negotiates.
 */
static PyObject *
as_json(Request *request, PyObject *value)
{
    if (!PyDict_CheckExact(value) && !PyList_CheckExact(value) &&
        !PyObject_TypeCheck(value, (PyTypeObject *)struct_type))
        return NULL;
    if (is_there(request->said) || request->block == NULL ||
        is_there(request->request_headers) ||
        find_values(request->block, "accept", 6, is_not_json, NULL))
        return NULL;
    PyObject *body = PyObject_CallOneArg(write_json, value);
    if (body == NULL || !PyBytes_CheckExact(body)) {
        PyErr_Clear();
        Py_CLEAR(body);
    }
    return body;
}

/* A lane: the endpoint; what to call with the request alone, or None; whether bytes are
 * sent as they are, None for a resource; the header with their type unless something else
 * is said; what to call with the arguments in the path as well; whether values become
 * JSON. */
enum { ENDPOINT, DIRECT, BYTES, TYPE, BARE, VALUES, LANE };

/* Call the handler at the end of a lane, in a context of its own, and write its answer.
 * Takes "args" over. */
static int
answer(Request *request, Channel *channel, PyObject *lane, PyObject *args, Batch *batch)
{
    PyObject *context = PyContext_CopyCurrent();
    if (context == NULL || args == NULL) {
        Py_XDECREF(context);
        Py_XDECREF(args);
        return -1;
    }
    Py_XSETREF(request->path_args, Py_NewRef(args));
    Py_XSETREF(request->context, context);
    Py_XSETREF(request->route, Py_NewRef(PyTuple_GET_ITEM(lane, ENDPOINT)));
    Py_XSETREF(request->entered, Py_NewRef(PyTuple_GET_ITEM(lane, ENDPOINT)));
    request->started = 1;
    Py_INCREF(context);
    if (PyContext_Enter(context) < 0) {
        Py_DECREF(context);
        Py_DECREF(args);
        return -1;
    }
    int bad = -1;
    PyObject *body = NULL, *json = NULL;
    PyObject *token = PyContextVar_Set(work_variable, (PyObject *)request);
    if (token == NULL) goto done;
    Py_DECREF(token);
    PyObject *direct = PyTuple_GET_ITEM(lane, DIRECT);
    if (direct != Py_None && PyDict_GET_SIZE(args) == 0) {
        body = PyObject_CallOneArg(direct, (PyObject *)request);
    } else {
        PyObject *both[] = {(PyObject *)request, args};
        body = PyObject_Vectorcall(PyTuple_GET_ITEM(lane, BARE), both, 2, NULL);
    }
    PyObject *kind = NULL;
    const char *text = NULL;
    Py_ssize_t size = 0;
    if (body == NULL) {
        bad = go_on(request, NULL);
        goto done;
    }
    if (PyTuple_GET_ITEM(lane, BYTES) == Py_None) {
        bad = body == s_one ? 0 : go_on(request, body); /* NOT_DONE_YET */
        goto done;
    }
    if (PyBytes_CheckExact(body)) {
        if (PyTuple_GET_ITEM(lane, BYTES) == Py_True) {
            text = PyBytes_AS_STRING(body);
            size = PyBytes_GET_SIZE(body);
            kind = PyTuple_GET_ITEM(lane, TYPE);
        }
    } else if (PyUnicode_CheckExact(body)) {
        text = PyUnicode_AsUTF8AndSize(body, &size);
        if (text == NULL) PyErr_Clear();
        kind = s_html_type;
    } else if (PyTuple_GET_ITEM(lane, VALUES) == Py_True && request->code == 200 &&
               (json = as_json(request, body)) != NULL) {
        text = PyBytes_AS_STRING(json);
        size = PyBytes_GET_SIZE(json);
        kind = s_json_type;
    }
    /* Who was called may have begun to say goodbye, or to listen. */
    int draining = text == NULL ? 0 : is_true(channel->site, s_draining);
    if (draining < 0) goto done;
    int loud = text == NULL ? 0 : is_true(channel->site, s_loud);
    if (loud < 0) goto done;
    if (text != NULL && !draining && request->code == 200 && request->phrase == NULL &&
        (request->type == NULL || !PyBytes_CheckExact(body)) &&
        !is_there(request->scope) && is_plain(request, channel, size)) {
        bad = compose(request, channel, usual_opening, batch->id_start, kind, text, size);
        if (!bad) bad = finish(request, channel, loud);
    } else {
        bad = go_on(request, body);
    }
done:
    Py_XDECREF(body);
    Py_XDECREF(json);
    if (PyContext_Exit(context) < 0) bad = -1;
    Py_DECREF(context);
    Py_DECREF(args);
    return bad;
}

/* Answer one request, by its lane or by the engine. */
static int
answer_by_lane(Request *request, Channel *channel, Batch *batch)
{
    PyObject *lane = NULL, *args = NULL, *way;
    PyObject *known = PyDict_GetItemWithError(batch->lanes, given(request->method));
    if (known != NULL && PyDict_CheckExact(known))
        lane = Py_XNewRef(PyDict_GetItemWithError(known, given(request->path)));
    if (lane == NULL) {
        if (PyErr_Occurred()) return -1;
        way = PyObject_CallMethodOneArg(given(request->site), s_way,
                                        (PyObject *)request);
        if (way == NULL) return -1;
        if (PyTuple_CheckExact(way) && PyTuple_GET_SIZE(way) == 2 &&
            PyDict_CheckExact(PyTuple_GET_ITEM(way, 1))) {
            lane = Py_NewRef(PyTuple_GET_ITEM(way, 0));
            args = Py_NewRef(PyTuple_GET_ITEM(way, 1));
        }
        Py_DECREF(way);
    }
    int bad;
    if (lane != NULL && PyTuple_CheckExact(lane) && PyTuple_GET_SIZE(lane) == LANE) {
        bad = answer(request, channel, lane, args == NULL ? PyDict_New() : args, batch);
    } else {
        Py_XDECREF(args);
        /* What the route table said of this path before, it would say again. */
        if (lane != NULL && PyObject_SetAttr((PyObject *)request, s_found, lane) < 0) {
            Py_DECREF(lane);
            return -1;
        }
        PyObject *done = PyObject_CallMethodNoArgs((PyObject *)request, s_process);
        bad = done == NULL ? -1 : 0;
        Py_XDECREF(done);
    }
    Py_XDECREF(lane);
    return bad;
}

/* Believe what a trusted proxy says of a request. */
static int
listen_to_proxies(Request *request)
{
    PyObject *done = PyObject_CallMethodOneArg((PyObject *)request, s_expect, s_zero);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Whether a body has come, and is one that is always taken. */
static int
takes_body(Channel *channel, const Head *head, const char *end)
{
    if (head->length > end - head->end) return 0;
    PyObject *most = PyObject_GetAttr(given(channel->site), s_plain_body);
    if (most == NULL) return -1;
    Py_ssize_t size = PyLong_AsSsize_t(most);
    Py_DECREF(most);
    if (size == -1 && PyErr_Occurred()) return -1;
    return head->length <= size;
}

/* Answer what is plain, from "at"; up to where, or -1 for an error. */
static Py_ssize_t
serve_from(Channel *channel, PyObject *data, Py_ssize_t at, double now)
{
    Batch batch = {0};
    Py_ssize_t result = -1;
    const char *start = PyBytes_AS_STRING(data), *end = start + PyBytes_GET_SIZE(data);
    Head head;
    PyObject *site = or_none(channel->site); /* a handler may let it go */
    if (begin_batch(&batch, site) < 0) goto done;
    while (at < end - start && !is_there(channel->request) && !is_there(channel->body) &&
           !channel->deaf && !channel->closing && !channel->waits_for_transport &&
           channel->persistent == Py_True && channel->left != 1 &&
           read_head(start + at, end, &head)) {
        if (head.line_size > channel->longest_line ||
            head.lines > channel->most_headers ||
            head.end - 2 - head.block > channel->most_header_bytes)
            break;
        if (head.length) {
            int takes = takes_body(channel, &head, end);
            if (takes < 0) goto done;
            if (!takes) break;
        }
        Request *request = (Request *)make_request(channel, &head, now);
        if (request == NULL) goto done;
        if (give_number(request, batch.numbers) < 0) {
            Py_DECREF(request);
            goto done;
        }
        channel->left--;
        channel->waits_for_head = 0;
        at += head.end + head.length - (start + at);
        Py_XSETREF(channel->request, Py_NewRef((PyObject *)request));
        int bad = batch.has_proxies ? listen_to_proxies(request) : 0;
        if (!bad) bad = answer_by_lane(request, channel, &batch);
        Py_DECREF(request);
        if (bad || (channel->size > BATCH && flush(channel) < 0)) goto done;
    }
    result = at;
done:
    Py_DECREF(site);
    end_batch(&batch);
    return result;
}

static PyObject *
serve(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 4 || !PyObject_TypeCheck(args[0], &ChannelType) ||
        !PyBytes_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "serve(channel, data, at, now)");
        return NULL;
    }
    Py_ssize_t at = PyLong_AsSsize_t(args[2]);
    double now = PyFloat_AsDouble(args[3]);
    if (PyErr_Occurred()) return NULL;
    if (at < 0) {
        PyErr_SetString(PyExc_ValueError, "nothing begins before the data does");
        return NULL;
    }
    at = serve_from((Channel *)args[0], args[1], at, now);
    return at < 0 ? NULL : PyLong_FromSsize_t(at);
}

/* ------------------------------------------- what an application says */

/* A header that is between us and the client (RFC 9110, section 7.6.1). */
static bool
is_between(const char *low, Py_ssize_t size)
{
    switch (size) {
    case 2: return !memcmp(low, "te", 2);
    case 7: return !memcmp(low, "trailer", 7) || !memcmp(low, "upgrade", 7);
    case 10: return !memcmp(low, "connection", 10) || !memcmp(low, "keep-alive", 10);
    case 16: return !memcmp(low, "proxy-connection", 16);
    case 17: return !memcmp(low, "transfer-encoding", 17);
    default: return false;
    }
}

static bool
is_token(const char *text, Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < size; i++)
        if (!(kinds[(unsigned char)text[i]] & TCHAR)) return false;
    return size > 0;
}

/* A header as somebody has said it, with its name in lower case; NULL for none. */
static PyObject *
checked_pair(PyObject *item)
{
    PyObject *pair = PySequence_Tuple(item); /* itself, if it is one */
    if (pair == NULL) return NULL;
    if (PyTuple_GET_SIZE(pair) != 2) {
        PyErr_Format(PyExc_ValueError, "expected a name and a value, got %R", pair);
        goto wrong;
    }
    PyObject *name = PyTuple_GET_ITEM(pair, 0), *value = PyTuple_GET_ITEM(pair, 1);
    if (!PyBytes_CheckExact(name) || !PyBytes_CheckExact(value)) {
        PyErr_Format(PyExc_ValueError, "expected headers in bytes, got %R: %R", name,
                     value);
        goto wrong;
    }
    const char *text = PyBytes_AS_STRING(name), *said = PyBytes_AS_STRING(value);
    Py_ssize_t size = PyBytes_GET_SIZE(name), said_size = PyBytes_GET_SIZE(value);
    if (!is_token(text, size)) {
        PyErr_Format(PyExc_ValueError, "%R is no name of a header", name);
        goto wrong;
    }
    if (memchr(said, '\n', said_size) || memchr(said, '\r', said_size) ||
        memchr(said, 0, said_size)) {
        PyErr_Format(PyExc_ValueError, "%R is no value of a header", value);
        goto wrong;
    }
    for (Py_ssize_t i = 0; i < size; i++) {
        if (text[i] >= 'A' && text[i] <= 'Z') {
            PyObject *low = make_pair(text, size, said, said_size);
            Py_DECREF(pair);
            return low;
        }
    }
    return pair;
wrong:
    Py_DECREF(pair);
    return NULL;
}

static PyObject *
length_of(PyObject *value)
{
    const char *text = PyBytes_AS_STRING(value);
    Py_ssize_t size = PyBytes_GET_SIZE(value);
    for (Py_ssize_t i = 0; i < size; i++)
        if (text[i] < '0' || text[i] > '9') size = 0;
    if (size) return PyNumber_Long(value);
    PyErr_Format(PyExc_ValueError, "%R is no Content-Length", value);
    return NULL;
}

/* Add a header to the lines, by its usual name. Whether it could be; -1 for an error. */
static int
add_line(PyObject *lines, PyObject *pair)
{
    PyObject *line = find_line(pair);
    if (line == NULL) return -1;
    int could = 0;
    if (PyTuple_CheckExact(line) && PyTuple_GET_SIZE(line) == 2) {
        PyObject *name = PyTuple_GET_ITEM(line, 0);
        int there = PyDict_Contains(lines, name);
        could = there < 0 ? -1 : !there;
        if (could > 0 && PyDict_SetItem(lines, name, PyTuple_GET_ITEM(line, 1)) < 0)
            could = -1;
    }
    Py_DECREF(line);
    return could;
}

/* said_headers(said): what they say of the length, the pairs, and the lines. */
static PyObject *
said_headers(PyObject *module, PyObject *said)
{
    PyObject *length = Py_NewRef(Py_None), *result = NULL;
    PyObject *pairs = PyList_New(0), *lines = PyDict_New(), *pair = NULL;
    PyObject *items = PySequence_Fast(said, "headers are pairs of bytes");
    if (pairs == NULL || lines == NULL || items == NULL) goto done;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); i++) {
        PyObject *item = Py_NewRef(PySequence_Fast_GET_ITEM(items, i));
        Py_XSETREF(pair, checked_pair(item));
        Py_DECREF(item);
        if (pair == NULL) goto done;
        PyObject *name = PyTuple_GET_ITEM(pair, 0);
        if (says(name, "content-length")) {
            Py_XSETREF(length, length_of(PyTuple_GET_ITEM(pair, 1)));
            if (length == NULL) goto done;
            continue;
        }
        if (is_between(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))) continue;
        if (PyList_Append(pairs, pair) < 0) goto done;
        int could = lines == NULL ? 1 : add_line(lines, pair);
        if (could < 0) goto done;
        if (!could) Py_CLEAR(lines);
    }
    result = PyTuple_Pack(3, length, pairs, given(lines));
done:
    Py_XDECREF(length);
    Py_XDECREF(pairs);
    Py_XDECREF(lines);
    Py_XDECREF(pair);
    Py_XDECREF(items);
    return result;
}

static bool
has_nothing(PyObject *bytes)
{
    return bytes != NULL && PyBytes_CheckExact(bytes) && PyBytes_GET_SIZE(bytes) == 0;
}

/* What Twisted calls. */
static PyObject *
Channel_data_received(Channel *self, PyObject *data)
{
    int quick = self->quick && !self->fresh && !self->deaf && !self->closing &&
                !self->batching && !is_there(self->request) && !is_there(self->body) &&
                !is_there(self->reader) && PyBytes_CheckExact(data) &&
                is_there(self->site) && has_nothing(self->waiting);
    if (quick) quick = is_true(self->site, s_is_quick);
    if (quick < 0) return NULL;
    if (!quick) return PyObject_CallMethodOneArg((PyObject *)self, s_data_received, data);
    PyObject *time = PyObject_CallMethodNoArgs(given(self->site), s_seconds);
    double now = time == NULL ? -1 : PyFloat_AsDouble(time);
    if (PyErr_Occurred()) {
        Py_XDECREF(time);
        return NULL;
    }
    Py_INCREF(self);
    self->batching = 1;
    Py_ssize_t at = serve_from(self, data, 0, now);
    self->batching = 0;
    PyObject *result = NULL;
    if (at < 0) {
        PyObject *kind, *error, *trace;
        PyErr_Fetch(&kind, &error, &trace);
        if (flush(self) < 0) PyErr_Clear();
        PyErr_Restore(kind, error, trace);
        goto done;
    }
    if (at < PyBytes_GET_SIZE(data) && !self->deaf && !self->closing) {
        /* That writes what is collected, too. */
        PyObject *place = PyLong_FromSsize_t(at);
        if (place != NULL)
            result = PyObject_CallMethodObjArgs((PyObject *)self, s_look, data, place, NULL);
        Py_XDECREF(place);
        goto done;
    }
    if (flush(self) < 0) goto done;
    bool rests = !is_there(self->request) && !self->closing;
    if (!self->closing && !has_nothing(self->waiting)) { /* a handler has let it in */
        result = PyObject_CallMethodNoArgs((PyObject *)self, s_look_again);
        goto done;
    }
    if (rests && self->served) {
        self->since = now;
        self->waits_for_head = 0;
    }
    result = Py_NewRef(Py_None);
done:
    Py_DECREF(time);
    Py_DECREF(self);
    return result;
}

static PyObject *
set_up(PyObject *module, PyObject *args)
{
    PyObject *variable, *reader, *line, *lines, *opening, *json, *structs, *ok;
    PyObject *html;
    if (!PyArg_ParseTuple(args, "OOOO!OOO!O!O!", &variable, &reader, &line, &PyDict_Type,
                          &lines, &opening, &json, &PyType_Type, &structs, &PyBytes_Type,
                          &ok, &PyBytes_Type, &html))
        return NULL;
    Py_XSETREF(work_variable, Py_NewRef(variable));
    Py_XSETREF(read_fields, Py_NewRef(reader));
    Py_XSETREF(header_line, Py_NewRef(line));
    Py_XSETREF(known_lines, Py_NewRef(lines));
    Py_XSETREF(opening_line, Py_NewRef(opening));
    Py_XSETREF(write_json, Py_NewRef(json));
    Py_XSETREF(struct_type, Py_NewRef(structs));
    Py_XSETREF(s_ok, Py_NewRef(ok));
    Py_XSETREF(s_html, Py_NewRef(html));
    Py_RETURN_NONE;
}

static PyObject *
set_request(PyObject *module, PyObject *type)
{
    if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, &RequestType)) {
        PyErr_SetString(PyExc_TypeError, "a request is a RequestBase");
        return NULL;
    }
    PyTypeObject *before = request_type;
    request_type = (PyTypeObject *)Py_NewRef(type);
    Py_XDECREF(before);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"serve", (PyCFunction)(void (*)(void))serve, METH_FASTCALL,
     "serve(channel, data, at, now): answer what is plain; up to where."},
    {"said_headers", said_headers, METH_O,
     "said_headers(said): what they say of the length; the pairs; the lines."},
    {"set_up", set_up, METH_VARARGS, "Be given what is Python's."},
    {"set_request", set_request, METH_O, "Be told what requests are made of."},
    {NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "ropewalk.web._quick",
    .m_doc = "The usual way of a request, in C.", .m_size = -1, .m_methods = functions};

PyMODINIT_FUNC
PyInit__quick(void)
{
    fill_kinds();
    struct { PyObject **place; const char *text; bool is_bytes; } names[] = {
        {&s_lanes, "lanes", false}, {&s_numbers, "numbers", false},
        {&s_id_start, "id_start", false}, {&s_write, "write", false},
        {&s_log, "log", false}, {&s_process, "process", false}, {&s_loud, "loud", false},
        {&s_default_type, "_default_type", false}, {&s_way, "way", false},
        {&s_draining, "draining", false},
        {&s_found, "found", false}, {&s_has_proxies, "has_proxies", false},
        {&s_is_quick, "is_quick", false}, {&s_seconds, "seconds", false},
        {&s_plain_body, "plain_body", false}, {&s_look, "_look", false},
        {&s_data_received, "_data_received", false},
        {&s_pairs_slowly, "_pairs_slowly", false},
        {&s_asked_slowly, "_asked_slowly", false}, {&s_proceed, "proceed", false},
        {&s_cleanup, "_cleanup", false}, {&s_expect, "expect", false},
        {&s_look_again, "_look_again", false},
        {&s_response_headers, "responseHeaders", false},
        {&s_set_raw_headers, "setRawHeaders", false}, {&s_http11, "HTTP/1.1", true},
        {&s_html_type, "Content-Type: text/html; charset=utf-8\r\n", true},
        {&s_json_type, "Vary: accept\r\nContent-Type: application/json\r\n", true},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        *names[i].place = names[i].is_bytes ? PyBytes_FromString(names[i].text)
                                            : PyUnicode_InternFromString(names[i].text);
        if (*names[i].place == NULL) return NULL;
    }
    s_zero = PyLong_FromLong(0);
    s_one = PyLong_FromLong(1); /* there is only one of it */
    if (s_zero == NULL || s_one == NULL) return NULL;
    for (int i = 0; i < METHODS; i++) {
        methods[i].bytes = PyBytes_FromStringAndSize(methods[i].text,
                                                     strlen(methods[i].text) - 1);
        if (methods[i].bytes == NULL) return NULL;
    }
    if (PyType_Ready(&RequestType) < 0 || PyType_Ready(&ChannelType) < 0) return NULL;
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL) return NULL;
    if (PyModule_AddObjectRef(module, "RequestBase", (PyObject *)&RequestType) < 0 ||
        PyModule_AddObjectRef(module, "ChannelBase", (PyObject *)&ChannelType) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
