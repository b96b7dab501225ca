/* The frozen modules: the one that importing needs. Takes the place of libpython's table of the
 * standard library, and of its deep-frozen objects, whose start costs 0.8 ms.
 */
#include <Python.h>

#include "bootstrap.h"

static const struct _frozen bootstrap[] = {
    {"_frozen_importlib", bootstrap_code, (int)sizeof bootstrap_code, 0, NULL},
    {0, 0, 0, 0, NULL},
};
static const struct _frozen nothing[] = {{0, 0, 0, 0, NULL}};
struct _module_alias {
    const char *name;
    const char *orig;
};
static const struct _module_alias aliases[] = {{0, 0}};
const struct _frozen *_PyImport_FrozenBootstrap = bootstrap;
const struct _frozen *_PyImport_FrozenStdlib = nothing;
const struct _frozen *_PyImport_FrozenTest = nothing;
const struct _module_alias *_PyImport_FrozenAliases = aliases;
const struct _frozen *PyImport_FrozenModules = NULL;
int _Py_Deepfreeze_Init(void) { return 0; }
void _Py_Deepfreeze_Fini(void) {}
