/*
 * What every segment goes through, in C: from the loop to the protocol that hears it,
 * and with what is said back to the loop. Types to build upon, with the state that this
 * takes; whatever happens seldom is done in Python, by those who build upon them.
 *
 * The twin in Python is plain.py; the same tests run against both.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <structmember.h>

/* Bytes that are gathered before they are sent, and before they are written. */
enum { FULL = 64 * 1024, GATHERED = 64 * 1024 };

/* Names that are looked up, made once. */
static PyObject *s_add, *s_again, *s_as_bytes, *s_blame, *s_data_received, *s_feed, *s_full, *s_go_on;
static PyObject *s_heard, *s_lone, *s_longest, *s_more, *s_raised, *s_read_on, *s_room;
static PyObject *s_plain, *s_say_otherwise, *s_seconds, *s_send, *s_send_all, *s_settle, *s_since, *s_take, *s_wait_for;
static PyObject *s_write;

/* telemetry.work.variable, and awaiting.awaitable. */
static PyObject *work_variable, *awaitable;

/* What may be gathered: GATHERED bytes; none, for it is written at once. */
static PyObject *gathered, *nothing_gathered;

/* What a field has, or None: any may have been deleted from Python. */
static PyObject *
given(PyObject *value)
{
    return value == NULL ? Py_None : value;
}

static bool
is_there(PyObject *value)
{
    return value != NULL && value != Py_None;
}

static bool
is_set(PyObject *flag)
{
    return is_there(flag) && flag != Py_False;
}

static void
set_to(PyObject **field, PyObject *value)
{
    Py_XSETREF(*field, Py_NewRef(value));
}

/* Whether what a call has returned is no error; it is not needed. */
static bool
done(PyObject *result)
{
    Py_XDECREF(result);
    return result != NULL;
}

/* The error that is set, and no longer is. */
static PyObject *
caught(void)
{
    PyObject *kind, *error, *trace;
    PyErr_Fetch(&kind, &error, &trace);
    PyErr_NormalizeException(&kind, &error, &trace);
    if (trace != NULL) {
        PyException_SetTraceback(error, trace);
        Py_DECREF(trace);
    }
    Py_DECREF(kind);
    return error;
}

/* Let an object know of the error that is set. */
static bool
tell_error(PyObject *self, PyObject *name, PyObject *context)
{
    PyObject *error = caught();
    PyObject *result = PyObject_CallMethodObjArgs(self, name, error, context, NULL);
    Py_DECREF(error);
    return done(result);
}

/* Whether a list, a deque … has something in it; -1 and an error if it is none. */
static int
has_some(PyObject *things)
{
    if (things != NULL && PyList_CheckExact(things)) return PyList_GET_SIZE(things) != 0;
    return PyObject_IsTrue(given(things));
}

/* Types with objects and flags in them differ in their fields alone. */
#define COLLECTED(Type, EACH) \
    static int Type##_traverse(Type *self, visitproc visit, void *arg) \
    { \
        EACH(VISIT_FIELD) \
        return 0; \
    } \
    static int Type##_clear(Type *self) \
    { \
        EACH(CLEAR_FIELD) \
        return 0; \
    } \
    static void Type##_dealloc(Type *self) \
    { \
        PyObject_GC_UnTrack(self); \
        Type##_clear(self); \
        Py_TYPE(self)->tp_free((PyObject *)self); \
    }
#define VISIT_FIELD(name) Py_VISIT(self->name);
#define CLEAR_FIELD(name) Py_CLEAR(self->name);

#define TYPE(Name, text) \
    static PyTypeObject Name##Type = { \
        PyVarObject_HEAD_INIT(NULL, 0) \
        .tp_name = "ropewalk.net._segments." #Name, \
        .tp_doc = text, \
        .tp_basicsize = sizeof(Name), \
        .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, \
        .tp_new = PyType_GenericNew, \
        .tp_traverse = (traverseproc)Name##_traverse, \
        .tp_clear = (inquiry)Name##_clear, \
        .tp_dealloc = (destructor)Name##_dealloc, \
        .tp_members = Name##_members, \
        .tp_methods = Name##_methods, \
    }

/* Of these, Python reads what is T_OBJECT_EX the fastest. */
#define OBJECT(Type, name, field) {name, T_OBJECT_EX, offsetof(Type, field)}
#define FLAG(Type, name, field) {name, T_BOOL, offsetof(Type, field)}

/* ------------------------------------------- the connections that wait to send */

typedef struct {
    PyObject_HEAD
    PyObject *waiting;
    char held;
} Gathering;

#define GATHERING_OBJECTS(X) X(waiting)
COLLECTED(Gathering, GATHERING_OBJECTS)

static PyMemberDef Gathering_members[] = {
    OBJECT(Gathering, "waiting", waiting), FLAG(Gathering, "held", held), {NULL}};
static PyMethodDef Gathering_methods[] = {{NULL}};
TYPE(Gathering, "Those who wait to send.");

/* ---------------------------------------------------------- the ends of a connection */

typedef struct {
    PyObject_HEAD
    PyObject *protocol, *transport, *outbox, *unsent;
    Py_ssize_t size;
    char mute, hears, extra;
} Ends;

#define ENDS_OBJECTS(X) X(protocol) X(transport) X(outbox) X(unsent)
COLLECTED(Ends, ENDS_OBJECTS)

/* Give the loop what was written. */
static bool
send_unsent(Ends *self)
{
    PyObject *unsent = self->unsent;
    self->unsent = Py_NewRef(Py_None);
    if (PyList_CheckExact(unsent)) {
        PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
        PyObject *whole = empty == NULL ? NULL : PyObject_CallMethod(empty, "join", "O",
                                                                     unsent);
        Py_XDECREF(empty);
        Py_DECREF(unsent);
        if (whole == NULL) return false;
        unsent = whole;
    }
    PyObject *result = PyObject_CallMethodOneArg(given(self->transport), s_write, unsent);
    Py_DECREF(unsent);
    return done(result);
}

static PyObject *
Ends_data_received(Ends *self, PyObject *data)
{
    if (self->outbox == NULL || !PyObject_TypeCheck(self->outbox, &GatheringType)) {
        PyErr_SetString(PyExc_TypeError, "an outbox is a Gathering");
        return NULL;
    }
    Gathering *outbox = (Gathering *)Py_NewRef(self->outbox);
    PyObject *protocol = Py_NewRef(given(self->protocol));
    outbox->held = self->hears = true;
    bool good = done(PyObject_CallMethodOneArg(protocol, s_data_received, data));
    Py_DECREF(protocol);
    if (!good) good = tell_error((PyObject *)self, s_blame, NULL);
    self->hears = outbox->held = false;
    if (good && self->extra) {
        good = done(PyObject_CallMethodNoArgs((PyObject *)self, s_settle));
    } else if (good && is_there(self->unsent)) {
        good = send_unsent(self);
    }
    int more = good ? has_some(outbox->waiting) : -1;
    good = more >= 0;
    if (more > 0) good = done(PyObject_CallMethodNoArgs((PyObject *)outbox, s_send_all));
    Py_DECREF(outbox);
    return good ? Py_NewRef(Py_None) : NULL;
}

static PyObject *
Ends_write(Ends *self, PyObject *data)
{
    if (!PyBytes_Check(data)) {
        PyErr_SetString(PyExc_TypeError, "Data must be bytes");
        return NULL;
    }
    if (self->mute) Py_RETURN_NONE;
    PyObject *unsent = self->unsent;
    if (!is_there(unsent)) {
        Py_XSETREF(self->unsent, Py_NewRef(data));
        if (self->hears) Py_RETURN_NONE;
        return PyObject_CallMethodOneArg(given(self->outbox), s_add, (PyObject *)self);
    }
    if (PyList_CheckExact(unsent)) {
        if (PyList_Append(unsent, data) < 0) return NULL;
        self->size += PyBytes_GET_SIZE(data);
    } else {
        Py_ssize_t before = PyObject_Size(unsent);
        if (before < 0) return NULL;
        PyObject *both = PyList_New(2);
        if (both == NULL) return NULL;
        self->size = before + PyBytes_GET_SIZE(data);
        PyList_SET_ITEM(both, 0, unsent);
        PyList_SET_ITEM(both, 1, Py_NewRef(data));
        self->unsent = both;
    }
    if (self->size > FULL) return PyObject_CallMethodNoArgs((PyObject *)self, s_send);
    Py_RETURN_NONE;
}

static PyMemberDef Ends_members[] = {
    OBJECT(Ends, "protocol", protocol), OBJECT(Ends, "_transport", transport),
    OBJECT(Ends, "_outbox", outbox), OBJECT(Ends, "_unsent", unsent),
    {"_size", T_PYSSIZET, offsetof(Ends, size)}, FLAG(Ends, "_mute", mute),
    FLAG(Ends, "_hears", hears), FLAG(Ends, "_extra", extra), {NULL}};
static PyMethodDef Ends_methods[] = {
    {"data_received", (PyCFunction)Ends_data_received, METH_O, "What the loop calls."},
    {"write", (PyCFunction)Ends_write, METH_O, "What the protocol calls."}, {NULL}};
TYPE(Ends, "The two ends of a connection.");

/* --------------------------------------------------- a protocol under a name */

typedef struct {
    PyObject_HEAD
    PyObject *work, *protocol, *transport, *context, *known;
    bool inside;
} Named;

#define NAMED_OBJECTS(X) X(work) X(protocol) X(transport) X(context) X(known)
COLLECTED(Named, NAMED_OBJECTS)

/* Have a context in which what is done is done under the name: to enter it costs less
   than to say so each time. */
static bool
has_context(Named *self)
{
    if (self->context != NULL && self->known == self->work) return true;
    PyObject *context = PyContext_CopyCurrent();
    if (context == NULL) return false;
    if (PyContext_Enter(context) < 0) {
        Py_DECREF(context);
        return false;
    }
    bool good = done(PyContextVar_Set(work_variable, given(self->work)));
    PyContext_Exit(context);
    Py_XSETREF(self->context, context);
    Py_XSETREF(self->known, Py_XNewRef(self->work));
    return good;
}

static PyObject *
Named_data_received(Named *self, PyObject *data)
{
    if (self->inside) return PyObject_CallMethodOneArg((PyObject *)self, s_again, data);
    if (!has_context(self)) return NULL;
    PyObject *context = Py_NewRef(self->context);
    PyObject *protocol = Py_NewRef(given(self->protocol));
    bool good = PyContext_Enter(context) == 0;
    if (good) {
        self->inside = true;
        good = done(PyObject_CallMethodOneArg(protocol, s_data_received, data));
        if (!good && PyErr_ExceptionMatches(PyExc_Exception)) {
            good = tell_error((PyObject *)self, s_blame, NULL);
        }
        self->inside = false;
        PyContext_Exit(context);
    }
    Py_DECREF(protocol);
    Py_DECREF(context);
    return good ? Py_NewRef(Py_None) : NULL;
}

static PyObject *
Named_write(Named *self, PyObject *data)
{
    return PyObject_CallMethodOneArg(given(self->transport), s_write, data);
}

static PyMemberDef Named_members[] = {
    OBJECT(Named, "work", work), OBJECT(Named, "wrappedProtocol", protocol),
    OBJECT(Named, "transport", transport), {NULL}};
static PyMethodDef Named_methods[] = {
    {"dataReceived", (PyCFunction)Named_data_received, METH_O, "Hand it on."},
    {"write", (PyCFunction)Named_write, METH_O, "Hand it back."}, {NULL}};
TYPE(Named, "A protocol that does what it does under a name.");

/* --------------------------------------------------------------- one at a time */

typedef struct {
    PyObject_HEAD
    PyObject *waiting, *busy, *over, *calling;
} Turn;

#define TURN_OBJECTS(X) X(waiting) X(busy) X(over) X(calling)
COLLECTED(Turn, TURN_OBJECTS)

/* What a call has returned: is there something to wait for? -1 for an error. */
static int
is_awaited(PyObject *result)
{
    if (result == Py_None) return false;
    PyObject *answer = PyObject_CallOneArg(awaitable, result);
    int is = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    return is;
}

/*
 * Call something, or somebody's method of that name, now or after those that wait: as
 * take, and cheaper where nothing is to be waited for.
 */
static bool
take_one(Turn *self, PyObject *whose, PyObject *name, PyObject *thing)
{
    int waits = has_some(self->waiting);
    if (waits < 0) return false;
    if (is_set(self->busy) || is_set(self->over) || waits) {
        PyObject *call = name == NULL ? Py_NewRef(whose) : PyObject_GetAttr(whose, name);
        if (call == NULL) return false;
        PyObject *result = PyObject_CallMethodObjArgs((PyObject *)self, s_take, call, thing,
                                                      NULL);
        Py_DECREF(call);
        return done(result);
    }
    PyObject *context = PyContext_CopyCurrent();
    if (context == NULL) return false;
    if (PyContext_Enter(context) < 0) {
        Py_DECREF(context);
        return false;
    }
    set_to(&self->calling, Py_True);
    set_to(&self->busy, Py_True);
    PyObject *result = name == NULL ? PyObject_CallOneArg(whose, thing)
                                    : PyObject_CallMethodOneArg(whose, name, thing);
    int awaited = result == NULL ? -1 : is_awaited(result);
    bool good = awaited >= 0;
    PyObject *error = good ? NULL : caught();
    PyContext_Exit(context);
    if (error != NULL) {
        good = done(PyObject_CallMethodObjArgs((PyObject *)self, s_raised, error, context,
                                               NULL));
        Py_DECREF(error);
        set_to(&self->busy, Py_False);
    } else if (awaited) {
        good = done(PyObject_CallMethodObjArgs((PyObject *)self, s_wait_for, result,
                                               context, NULL));
    } else {
        set_to(&self->busy, Py_False);
    }
    Py_XDECREF(result);
    Py_DECREF(context);
    set_to(&self->calling, Py_False);
    if (!good) return false;
    waits = has_some(self->waiting);
    if (waits > 0) return done(PyObject_CallMethodNoArgs((PyObject *)self, s_go_on));
    return waits == 0;
}

static PyObject *
Turn_take_one(Turn *self, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "take_one(call, thing)");
        return NULL;
    }
    bool good = take_one(self, arguments[0], NULL, arguments[1]);
    return good ? Py_NewRef(Py_None) : NULL;
}

static PyMemberDef Turn_members[] = {
    OBJECT(Turn, "_waiting", waiting), OBJECT(Turn, "_busy", busy),
    OBJECT(Turn, "_over", over), OBJECT(Turn, "_calling", calling), {NULL}};
static PyMethodDef Turn_methods[] = {
    {"take_one", (PyCFunction)(void (*)(void))Turn_take_one, METH_FASTCALL,
     "take_one(call, thing): call it now, or after those that wait."},
    {NULL}};
TYPE(Turn, "Whose turn it is.");

/* ---------------------------------------------------------------- a conversation */

typedef struct {
    PyObject_HEAD
    PyObject *transport, *unheard, *unwritten, *turns, *backlog, *patience, *clock;
    PyObject *quickly, *gatherable, *held, *hearing, *ended, *leaving;
} Talk;

#define TALK_OBJECTS(X) \
    X(transport) X(unheard) X(unwritten) X(turns) X(backlog) X(patience) X(clock) \
    X(quickly) X(gatherable) X(held) X(hearing) X(ended) X(leaving)
COLLECTED(Talk, TALK_OBJECTS)

/* What was said, as bytes: most is written quickly. */
static PyObject *
as_bytes(Talk *self)
{
    if (is_there(self->quickly)) {
        PyObject *data = PyObject_CallOneArg(self->quickly, self->unwritten);
        if (data != Py_None) return data;
        Py_DECREF(data);
    }
    return PyObject_CallMethodOneArg((PyObject *)self, s_as_bytes, self->unwritten);
}

/* Write what was said. */
static PyObject *
Talk_write_out(Talk *self, PyObject *Py_UNUSED(ignored))
{
    if (self->unwritten == NULL || !PyList_CheckExact(self->unwritten)) {
        PyErr_SetString(PyExc_TypeError, "what is not written is a list");
        return NULL;
    }
    if (PyList_GET_SIZE(self->unwritten) == 0) Py_RETURN_NONE;
    PyObject *data = as_bytes(self);
    if (data == NULL) return NULL;
    PyObject *backlog = Py_NewRef(given(self->backlog)), *room = NULL;
    PyObject *full = NULL, *size = NULL, *result = NULL;
    if (self->unwritten == NULL || !PyList_CheckExact(self->unwritten)) {
        PyErr_SetString(PyExc_TypeError, "what is not written is a list");
        goto end;
    }
    if (PyList_SetSlice(self->unwritten, 0, PY_SSIZE_T_MAX, NULL) < 0) goto end;
    set_to(&self->gatherable, is_set(self->hearing) ? gathered : nothing_gathered);
    full = PyObject_GetAttr(backlog, s_full);
    if (full == NULL) goto end;
    if (full != Py_False) {
        size = PyLong_FromSsize_t(PyObject_Size(data));
        room = size == NULL ? NULL : PyObject_CallMethodOneArg(backlog, s_room, size);
        if (room == NULL) goto end;
        int there = PyObject_IsTrue(room);
        if (there <= 0) {
            result = there < 0 ? NULL : Py_NewRef(Py_None);
            goto end;
        }
    }
    result = PyObject_CallMethodOneArg(given(self->transport), s_write, data);
end:
    Py_XDECREF(full);
    Py_XDECREF(size);
    Py_XDECREF(room);
    Py_DECREF(backlog);
    Py_DECREF(data);
    return result;
}

/* What came as the one piece that it is, or None; NULL for an error. */
static PyObject *
lone_piece(Talk *self, PyObject *data)
{
    if (is_set(self->held) || is_set(self->hearing)) return Py_NewRef(Py_None);
    PyObject *longest = PyObject_GetAttr((PyObject *)self, s_longest);
    if (longest == NULL) return NULL;
    PyObject *reader = Py_NewRef(given(self->unheard));
    PyObject *piece = PyObject_CallMethodObjArgs(reader, s_lone, data, longest, NULL);
    Py_DECREF(reader);
    Py_DECREF(longest);
    return piece;
}

/* Somebody is heard: they are waited for anew. */
static bool
is_heard(Talk *self)
{
    PyObject *now = PyObject_CallMethodNoArgs(given(self->clock), s_seconds);
    if (now == NULL) return false;
    int set = PyObject_SetAttr(given(self->patience), s_since, now);
    Py_DECREF(now);
    return set == 0;
}

static PyObject *
Talk_data_received(Talk *self, PyObject *data)
{
    if (is_set(self->leaving)) Py_RETURN_NONE;
    PyObject *piece = lone_piece(self, data);
    if (piece == NULL) return NULL;
    if (piece == Py_None) {
        Py_DECREF(piece);
        PyObject *reader = Py_NewRef(given(self->unheard));
        bool fed = done(PyObject_CallMethodOneArg(reader, s_feed, data));
        Py_DECREF(reader);
        return fed ? PyObject_CallMethodNoArgs((PyObject *)self, s_read_on) : NULL;
    }
    PyObject *turns = Py_NewRef(given(self->turns));
    bool good = false;
    if (!PyObject_TypeCheck(turns, &TurnType)) {
        PyErr_SetString(PyExc_TypeError, "turns are a Turn");
    } else if (is_heard(self)) {
        set_to(&self->hearing, Py_True);
        set_to(&self->gatherable, gathered);
        good = take_one((Turn *)turns, (PyObject *)self, s_heard, piece);
        set_to(&self->hearing, Py_False);
    }
    Py_DECREF(turns);
    Py_DECREF(piece);
    PyObject *more = good ? PyObject_GetAttr(given(self->unheard), s_more) : NULL;
    if (more == NULL) return NULL;
    bool goes_on = is_set(self->ended) || more != Py_False;
    Py_DECREF(more);
    if (goes_on) return PyObject_CallMethodNoArgs((PyObject *)self, s_read_on);
    set_to(&self->gatherable, nothing_gathered);
    return Talk_write_out(self, NULL);
}

static PyMemberDef Talk_members[] = {
    OBJECT(Talk, "transport", transport), OBJECT(Talk, "_unheard", unheard),
    OBJECT(Talk, "_unwritten", unwritten), OBJECT(Talk, "_turns", turns),
    OBJECT(Talk, "_backlog", backlog), OBJECT(Talk, "_patience", patience),
    OBJECT(Talk, "_clock", clock),
    OBJECT(Talk, "_quickly", quickly), OBJECT(Talk, "_gatherable", gatherable),
    OBJECT(Talk, "_held", held),
    OBJECT(Talk, "_hearing", hearing), OBJECT(Talk, "_ended", ended),
    OBJECT(Talk, "_leaving", leaving), {NULL}};
static PyMethodDef Talk_methods[] = {
    {"dataReceived", (PyCFunction)Talk_data_received, METH_O, "Hear what came."},
    {"_write_out", (PyCFunction)Talk_write_out, METH_NOARGS, "Write what was said."},
    {NULL}};
TYPE(Talk, "What a conversation is in the middle of.");

/* ---------------------------------------------------------- a conversation in lines */

typedef struct {
    Talk talk;
    PyObject *said_plainly;
} Lines;

static int
Lines_traverse(Lines *self, visitproc visit, void *arg)
{
    Py_VISIT(self->said_plainly);
    return Talk_traverse(&self->talk, visit, arg);
}

static int
Lines_clear(Lines *self)
{
    Py_CLEAR(self->said_plainly);
    return Talk_clear(&self->talk);
}

static void
Lines_dealloc(Lines *self)
{
    PyObject_GC_UnTrack(self);
    Lines_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* Have what follows written as it is to be by now. */
static bool
says_as_wished(Lines *self)
{
    PyObject *plain = PyObject_GetAttr((PyObject *)self, s_plain);
    if (plain == NULL) return false;
    bool good = true;
    if (plain != self->said_plainly) {
        good = done(PyObject_CallMethodOneArg((PyObject *)self, s_say_otherwise, plain));
    }
    Py_DECREF(plain);
    return good;
}

static PyObject *
Lines_say(Lines *self, PyObject *line)
{
    Talk *talk = &self->talk;
    if (is_set(talk->leaving)) Py_RETURN_NONE;
    if (!PyUnicode_Check(line)) {
        return PyErr_Format(PyExc_TypeError, "a line is a str, not %s",
                            Py_TYPE(line)->tp_name);
    }
    if (!says_as_wished(self)) return NULL;
    if (talk->unwritten == NULL || !PyList_CheckExact(talk->unwritten)) {
        PyErr_SetString(PyExc_TypeError, "what is not written is a list");
        return NULL;
    }
    if (PyList_Append(talk->unwritten, line) < 0) return NULL;
    Py_ssize_t room = PyLong_AsSsize_t(given(talk->gatherable));
    if (room == -1 && PyErr_Occurred()) return NULL;
    room -= PyUnicode_GET_LENGTH(line);
    if (room < 0) return Talk_write_out(talk, NULL);
    PyObject *left = PyLong_FromSsize_t(room);
    if (left == NULL) return NULL;
    Py_XSETREF(talk->gatherable, left);
    Py_RETURN_NONE;
}

static PyMemberDef Lines_members[] = {
    OBJECT(Lines, "_said_plainly", said_plainly), {NULL}};
PyDoc_STRVAR(say_doc,
"say($self, line, /)\n--\n\n"
"Send a line. What has line feeds in it arrives as several lines, of which\n"
"all but the first are indented: what one peer says cannot look to another\n"
"like the words of a third. To a peer that is gone or going, nothing is\n"
"sent.\n\n"
"What is said while lines are heard is written when all of them are that have\n"
"come at once.");

static PyMethodDef Lines_methods[] = {
    {"say", (PyCFunction)Lines_say, METH_O, say_doc}, {NULL}};
TYPE(Lines, "What a conversation in lines is in the middle of.");

/* ----------------------------------------------------------------------- the module */

/* An attribute of an attribute of a module. */
static PyObject *
found(const char *module, const char *name, const char *attribute)
{
    PyObject *imported = PyImport_ImportModule(module);
    PyObject *value = imported == NULL ? NULL : PyObject_GetAttrString(imported, name);
    Py_XDECREF(imported);
    if (value == NULL || attribute == NULL) return value;
    PyObject *within = PyObject_GetAttrString(value, attribute);
    Py_DECREF(value);
    return within;
}

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "ropewalk.net._segments",
    .m_doc = "The way of a segment, in C.", .m_size = -1};

PyMODINIT_FUNC
PyInit__segments(void)
{
    struct { PyObject **place; const char *text; } names[] = {
        {&s_add, "add"}, {&s_again, "_hear_again"}, {&s_as_bytes, "_as_bytes"}, {&s_blame, "blame"},
        {&s_data_received, "dataReceived"}, {&s_feed, "feed"}, {&s_full, "full"},
        {&s_go_on, "_go_on"}, {&s_heard, "heard"}, {&s_lone, "lone"},
        {&s_longest, "longest"}, {&s_more, "more"}, {&s_plain, "plain"}, {&s_raised, "_raised"},
        {&s_read_on, "_read_on"}, {&s_room, "room"}, {&s_say_otherwise, "_say_otherwise"}, {&s_seconds, "seconds"},
        {&s_send, "_send"}, {&s_send_all, "send"}, {&s_settle, "settle"},
        {&s_since, "since"}, {&s_take, "take"}, {&s_wait_for, "_wait_for"},
        {&s_write, "write"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        *names[i].place = PyUnicode_InternFromString(names[i].text);
        if (*names[i].place == NULL) return NULL;
    }
    work_variable = found("ropewalk.telemetry", "work", "variable");
    awaitable = found("ropewalk.awaiting", "awaitable", NULL);
    gathered = PyLong_FromLong(GATHERED);
    nothing_gathered = PyLong_FromLong(-1);
    if (!work_variable || !awaitable || !gathered || !nothing_gathered) return NULL;
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL) return NULL;
    LinesType.tp_base = &TalkType;
    PyTypeObject *types[] = {&GatheringType, &EndsType, &NamedType, &TurnType, &TalkType,
                             &LinesType};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (PyModule_AddType(module, types[i]) < 0) {
            Py_DECREF(module);
            return NULL;
        }
    }
    return module;
}
