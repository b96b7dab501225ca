/* The built-in modules: what the program imports, and what CPython's core cannot do without.
 * Takes the place of libpython's own table, which would link every module there is.
 */
#include <Python.h>
extern PyObject *PyInit_posix(void);
extern PyObject *PyInit__socket(void);
extern PyObject *PyInit_time(void);
extern PyObject *PyInit__thread(void);
extern PyObject *PyInit__weakref(void);
extern PyObject *PyInit__imp(void);
extern PyObject *PyMarshal_Init(void);
extern PyObject *_PyWarnings_Init(void);
struct _inittab _PyImport_Inittab[] = {
    {"posix", PyInit_posix},
    {"_socket", PyInit__socket},
    {"time", PyInit_time},
    {"_thread", PyInit__thread},
    {"_weakref", PyInit__weakref},
    {"_imp", PyInit__imp},
    {"_warnings", _PyWarnings_Init},
    {"marshal", PyMarshal_Init},
    {"builtins", NULL},
    {"sys", NULL},
    {0, 0},
};
