# find_package(gort CONFIG) for extension modules of other packages; installed in the package as gort/cmake.
#
#   execute_process(COMMAND "${Python_EXECUTABLE}" -m gort --cmakedir OUTPUT_VARIABLE gort_DIR OUTPUT_STRIP_TRAILING_WHITESPACE)
#   find_package(gort CONFIG REQUIRED)
#   pybind11_add_module(_fast MODULE fast.cpp)
#   gort_extension(_fast)
#
# gort::gort is libgort.so in the folder of the package, with the headers. An extension finds that library at run time
#   1. because gort is imported already: the loader knows libgort.so by its name. Packages import gort before their own module;
#   2. else by the RPATH that gort_extension sets for the installed module, $ORIGIN/../gort: the package gort beside the module's own.
# The library is that of the gort which runs, so an extension is built again for each release of gort (the C table in gort/python/c_api.h
# is for those who cannot).

include(CMakeFindDependencyMacro)
find_dependency(Threads)
include("${CMAKE_CURRENT_LIST_DIR}/gort-targets.cmake")

# gort_extension(<target> [DEPTH <n>]) links gort::gort. DEPTH: the number of folders from site-packages down to the installed module
# (1 by default: site-packages/PACKAGE/MODULE.so).
function(gort_extension target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "DEPTH" "")
  if(DEFINED arg_UNPARSED_ARGUMENTS OR DEFINED arg_KEYWORDS_MISSING_VALUES)
    message(FATAL_ERROR "gort_extension(<target> [DEPTH <n>]): got ${ARGN}")
  endif()
  if(NOT DEFINED arg_DEPTH)
    set(arg_DEPTH 1)
  endif()
  if(NOT arg_DEPTH MATCHES "^[0-9]+$")
    message(FATAL_ERROR "gort_extension: DEPTH must be a number, got ${arg_DEPTH}")
  endif()
  string(REPEAT "/.." ${arg_DEPTH} up)
  target_link_libraries(${target} PRIVATE gort::gort)
  set_property(TARGET ${target} APPEND PROPERTY INSTALL_RPATH "$ORIGIN${up}/gort")
endfunction()
