#include "gort/python/extension.h"

#include "gort/base/errors.h"

namespace gort::python {
namespace {

ExtensionHooks hooks{};  // written once, when gort._gort is imported; guarded by the GIL

}  // namespace

void set_extension_hooks(const ExtensionHooks& given) { hooks = given; }

const ExtensionHooks& extension_hooks() {
  if (hooks.attach == nullptr) throw Fatal("gort::python::enter: gort._gort is not imported");
  return hooks;
}

}  // namespace gort::python
