/*
 * Lines, from bytes and to bytes, where all is as usual; what is not is left to
 * lines.py. The twin in Python is plain.py; the same tests run against both.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <structmember.h>
#include <string.h>

/* What is not sent as it is: C0 but for the tabulator, and DEL. */
static bool odd[256];

/*
 * lone(data, longest): the one line that these bytes are, without its end; None if
 * they are anything else.
 */
static PyObject *
lone(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "lone(data, longest)");
        return NULL;
    }
    if (!PyBytes_Check(arguments[0]) || !PyIndex_Check(arguments[1])) {
        Py_RETURN_NONE;
    }
    Py_ssize_t longest = PyNumber_AsSsize_t(arguments[1], NULL); /* clipped */
    if (longest == -1 && PyErr_Occurred()) {
        return NULL;
    }
    const char *start = PyBytes_AS_STRING(arguments[0]);
    Py_ssize_t end = PyBytes_GET_SIZE(arguments[0]) - 1;
    if (end < 0 || end > longest || memchr(start, '\n', end + 1) != start + end) {
        Py_RETURN_NONE;
    }
    if (end && start[end - 1] == '\r') {
        end--;
    }
    PyObject *line = PyUnicode_DecodeUTF8(start, end, NULL);
    if (line == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    return line;
}

/* The UTF-8 of a line; NULL if there is none, or an error if that is set. */
static const char *
as_utf8(PyObject *line, Py_ssize_t *size)
{
    if (!PyUnicode_Check(line)) {
        return NULL;
    }
    const char *text = PyUnicode_AsUTF8AndSize(line, size);
    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
        PyErr_Clear();
    }
    return text;
}

/* Whether it can be sent as it is. C1 is two bytes, of which C2 is the first. */
static bool
is_plain(const char *text, Py_ssize_t size)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + size;
    bool found = false;
    for (; at < end; at++) {
        found |= odd[*at];
    }
    if (!found) {
        return true;
    }
    for (at = (const unsigned char *)text; at < end; at++) {
        if (odd[*at] && (*at != 0xC2 || at[1] < 0xA0)) {
            return false;
        }
    }
    return true;
}

/*
 * plainly(lines): the lines as bytes, each with its end; None if one of them cannot be
 * sent as it is.
 */
static PyObject *
plainly(PyObject *module, PyObject *lines)
{
    if (!PyList_Check(lines)) {
        Py_RETURN_NONE;
    }
    Py_ssize_t count = PyList_GET_SIZE(lines), whole = count, size;
    for (Py_ssize_t n = 0; n < count; n++) {
        const char *text = as_utf8(PyList_GET_ITEM(lines, n), &size);
        if (text == NULL && PyErr_Occurred()) {
            return NULL;
        }
        if (text == NULL || !is_plain(text, size)) {
            Py_RETURN_NONE;
        }
        whole += size;
    }
    PyObject *data = PyBytes_FromStringAndSize(NULL, whole);
    if (data == NULL) {
        return NULL;
    }
    char *at = PyBytes_AS_STRING(data);
    for (Py_ssize_t n = 0; n < count; n++) {
        /* It is kept with the line, so that it can only be there. */
        const char *text = PyUnicode_AsUTF8AndSize(PyList_GET_ITEM(lines, n), &size);
        memcpy(at, text, size);
        at += size;
        *at++ = '\n';
    }
    return data;
}

/* ------------------------------------------------------------ what a reader waits for */

typedef struct {
    PyObject_HEAD
    PyObject *more, *rest, *skipping;
} Reader;

static int
Reader_traverse(Reader *self, visitproc visit, void *arg)
{
    Py_VISIT(self->more);
    Py_VISIT(self->rest);
    Py_VISIT(self->skipping);
    return 0;
}

static int
Reader_clear(Reader *self)
{
    Py_CLEAR(self->more);
    Py_CLEAR(self->rest);
    Py_CLEAR(self->skipping);
    return 0;
}

static void
Reader_dealloc(Reader *self)
{
    PyObject_GC_UnTrack(self);
    Reader_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/*
 * reader.lone(data, longest): what has come as the line that it is, if it is one, and
 * nothing else waits; otherwise None.
 */
static PyObject *
Reader_lone(Reader *self, PyObject *const *arguments, Py_ssize_t count)
{
    if (self->more != Py_False || self->skipping != Py_False) Py_RETURN_NONE;
    if (self->rest == NULL || !PyByteArray_Check(self->rest) ||
        PyByteArray_GET_SIZE(self->rest) != 0) {
        Py_RETURN_NONE;
    }
    return lone(NULL, arguments, count);
}

/* Of these, Python reads what is T_OBJECT_EX the fastest. */
static PyMemberDef Reader_members[] = {
    {"more", T_OBJECT_EX, offsetof(Reader, more)},
    {"_rest", T_OBJECT_EX, offsetof(Reader, rest)},
    {"_skipping", T_OBJECT_EX, offsetof(Reader, skipping)},
    {NULL},
};

static PyMethodDef Reader_methods[] = {
    {"lone", (PyCFunction)(void (*)(void))Reader_lone, METH_FASTCALL,
     "lone(data, longest): what has come as the line that it is, or None."},
    {NULL},
};

static PyTypeObject ReaderType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "ropewalk.wire._lines.Reader",
    .tp_doc = "What has come, and is not taken yet.",
    .tp_basicsize = sizeof(Reader),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = PyType_GenericNew,
    .tp_traverse = (traverseproc)Reader_traverse,
    .tp_clear = (inquiry)Reader_clear,
    .tp_dealloc = (destructor)Reader_dealloc,
    .tp_members = Reader_members,
    .tp_methods = Reader_methods,
};

static PyMethodDef functions[] = {
    {"lone", (PyCFunction)(void (*)(void))lone, METH_FASTCALL, NULL},
    {"plainly", plainly, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static int
begin(PyObject *module)
{
    for (int c = 0; c < 32; c++) {
        odd[c] = c != '\t';
    }
    odd[127] = odd[0xC2] = true;
    return PyModule_AddType(module, &ReaderType);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, begin}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "ropewalk.wire._lines",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__lines(void)
{
    return PyModuleDef_Init(&definition);
}
