/* Starts CPython 3.11 no further than it must for one built-in program, and runs that program.
 *
 * Core initialisation only (`_init_main = 0`, a private field): no import from files, no codecs, no
 * io module, no site. Measured beside a full start: 2.4 against 7 ms (spec/performance.md A). It is
 * bound to 3.11, so tools/build_cni.sh builds it with that version only and falls back to the .pyc.
 */
#include <Python.h>
#include <marshal.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

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

int main(void) {
    PyStatus status;
    PyObject *code, *globals, *name;

    /* A reader that left is an error to report, as it is under a whole Python. */
    signal(SIGPIPE, SIG_IGN);
    status = start();

    if (PyStatus_Exception(status))
        return fail(status.err_msg ? status.err_msg : "CPython does not start");
    code = PyMarshal_ReadObjectFromString((const char *)program_code, sizeof program_code);
    globals = PyDict_New();
    name = PyUnicode_FromString("__main__");
    if (!code || !globals || !name)
        return fail("the program is damaged");
    PyDict_SetItemString(globals, "__name__", name);
    PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins());
    /* The program ends the process itself; it comes back here only by an exception. */
    PyEval_EvalCode(code, globals, globals);
    return fail("the program failed");
}
