// The main program of core_tests. Boost.Test is used in its header-only form: it is compiled here, once; the other
// files include <boost/test/unit_test.hpp> and add their suites. conftest.py makes each case an item of pytest.

#define BOOST_TEST_MODULE gort_core
#include <boost/test/included/unit_test.hpp>
