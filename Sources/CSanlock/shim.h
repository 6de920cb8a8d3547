// sanlock's headers are not self-contained: size_t and the fixed-width integers come first.
#include <stddef.h>
#include <stdint.h>
#include <sanlock.h>
#include <sanlock_admin.h>
#include <sanlock_resource.h>
#include <sanlock_rv.h>
