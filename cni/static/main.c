/* Starts CPython 3.11 no further than it must for one built-in program, and runs that program.
 *
 * Core initialisation only (`_init_main = 0`, a private field): no import from files, no codecs, no
 * io module, no site. And that once, when the executable is built: `prepare` writes the state of the
 * interpreter to standard output, tools/build_cni.sh puts it into the file (state.ld says where), and
 * every run goes on from there. Measured from exec to exit of VERSION: 0.6 ms, of which an empty
 * static program takes 0.4; with the start in each run 2.4. Bound to 3.11, so tools/build_cni.sh
 * builds it with that version only and falls back to the .pyc.
 */
#define Py_BUILD_CORE 1
#include <Python.h>
#include <internal/pycore_runtime.h>
#include <marshal.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"
#include "program.h"

extern char state_start[], state_end[]; /* state.ld */
extern char **environ;

static PyThreadState *prepared;
static PyObject *program_main, *program_environ;

static const char answer[] =
    "{\"cniVersion\": \"1.0.0\", \"code\": 999, \"msg\": \"terway cannot start\"}\n";

static int fail(const char *why) {
    if (write(2, why, strlen(why)) < 0 || write(2, "\n", 1) < 0 ||
        write(1, answer, sizeof answer - 1) < 0)
        return 2;
    return 1;
}

static PyStatus start(void) {
    PyPreConfig before;
    PyConfig config;
    PyStatus status;
    wchar_t **paths[] = {&config.home, &config.prefix, &config.exec_prefix, &config.base_prefix,
                         &config.base_exec_prefix, &config.stdlib_dir};

    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    before.allocator = PYMEM_ALLOCATOR_MALLOC; /* pymalloc takes a megabyte at a time */
    status = Py_PreInitialize(&before);
    if (PyStatus_Exception(status))
        return status;
    PyConfig_InitIsolatedConfig(&config);
    config._init_main = 0;
    config.site_import = 0;
    config.write_bytecode = 0;
    config.pathconfig_warnings = 0;
    config.install_signal_handlers = 0;
    config.module_search_paths_set = 1;
    config.use_hash_seed = 1; /* nothing here is hashed for a stranger */
    config.hash_seed = 0;
    /* Everything a search for the installation would find: none is made then. */
    for (size_t n = 0; n < sizeof paths / sizeof *paths; n++) {
        status = PyConfig_SetString(&config, paths[n], L"/");
        if (PyStatus_Exception(status))
            return status;
    }
    PyConfig_SetString(&config, &config.platlibdir, L"lib");
    PyConfig_SetString(&config, &config.executable, L"/terway");
    PyConfig_SetString(&config, &config.base_executable, L"/terway");
    return Py_InitializeFromConfig(&config);
}

/* Runs the program's definitions, and its imports; not its `main`. */
static int define(void) {
    PyObject *posix, *code, *globals;

    posix = PyImport_ImportModule("posix");
    if (!posix || !PyImport_ImportModule("_socket"))
        return -1;
    code = PyMarshal_ReadObjectFromString((const char *)program_code, sizeof program_code);
    globals = PyDict_New();
    if (!code || !globals ||
        PyDict_SetItemString(globals, "__name__", PyUnicode_FromString("terway")) ||
        PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins()) ||
        !PyEval_EvalCode(code, globals, globals))
        return -1;
    program_main = PyDict_GetItemString(globals, "main");
    program_environ = PyObject_GetAttrString(posix, "environ");
    if (!program_main || !program_environ)
        return -1;
    PyDict_Clear(program_environ);
    return 0;
}

static int prepare(void) {
    PyStatus status = start();

    if (PyStatus_Exception(status))
        return fail(status.err_msg ? status.err_msg : "CPython does not start");
    if (define() < 0)
        return fail("the program is damaged");
    PyGC_Disable(); /* every run ends before there is much to collect */
    prepared = PyThreadState_Get();
    memory_close();
    for (char *at = state_start; at < state_end;) {
        ssize_t written = write(1, at, (size_t)(state_end - at));
        if (written < 0)
            return fail("the state cannot be written");
        at += written;
    }
    return 0;
}

/* What is this process's own: its thread, and its environment. */
static int resume(void) {
    Py_tss_t *key = &_PyRuntime.gilstate.autoTSSkey;

    key->_is_initialized = 0;
    if (PyThread_tss_create(key) || PyThread_tss_set(key, prepared))
        return -1;
    prepared->thread_id = _PyRuntime.main_thread = PyThread_get_thread_ident();
    prepared->native_thread_id = PyThread_get_thread_native_id();
    for (char **each = environ; *each; each++) {
        char *equals = strchr(*each, '=');
        PyObject *name, *value;
        if (!equals)
            continue;
        name = PyBytes_FromStringAndSize(*each, equals - *each);
        value = PyBytes_FromString(equals + 1);
        /* As posix does: the first of one name counts. */
        if (!name || !value || !PyDict_SetDefault(program_environ, name, value))
            return -1;
        Py_DECREF(name);
        Py_DECREF(value);
    }
    return 0;
}

int main(void) {
    /* A reader that left is an error to report, as it is under a whole Python. */
    signal(SIGPIPE, SIG_IGN);
    if (!prepared)
        return prepare();
    if (resume() < 0)
        return fail("CPython does not resume");
    /* The program ends the process itself; it comes back here only by an exception. */
    PyObject_CallNoArgs(program_main);
    return fail("the program failed");
}
