/* Compiled loops over time of LSTM, GRU and SimpleRNN in float32, with sigmoid and tanh: `recurrent/compiled.py` is
   their one caller and lays the weights out for them; `_kernel_loop.h` has the loops themselves, `_kernel_threads.h`
   how threads share them.

   A Cell holds the weights of a node. Cell.run checks every size and stride it is given before anything is read: what
   does not fit raises ValueError, and what lies in memory as it cannot be read (of another type, its last axis with
   gaps, or its numbers unaligned) raises BufferError, upon which the caller makes a copy. A Cell is never written to,
   and may be run from many threads at once. */

#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE /* CPU_COUNT */
#include <Python.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

enum { LSTM, GRU_AFTER, GRU_BEFORE, SIMPLE_RNN, KINDS };
/* Columns of W and U, by kind: i f c o; z r h; z r h and z r; h. */
static const long COLUMNS_W[] = {4, 3, 3, 1}, COLUMNS_U[] = {4, 3, 2, 1}, COLUMNS_B[] = {4, 4, 4, 1};

/* A matrix as float32, (tile, inner, columns, lanes), or, where w is NULL, as int8, (tile, inner / 4, columns, lanes,
   4), with a scale for each column and the sum of its int8, (tile, columns, 2, lanes). Of one gate 4 tiles are
   columns. */
typedef struct {
    const float *w;
    const int8_t *q;
    const float *scale;
} Matrix;

/* States as fixed-point numbers, for `_kernel_vnni.h`; of one thread. */
typedef struct {
    long at;        /* the step, or half of one, whose states these are; -1 for none */
    uint8_t *bytes; /* (rows, 4, width): of each number + 2^31 the lowest byte first */
    float *unit;    /* (rows): what 1 stands for; NaN where a state is not finite */
    long width;
} Fixed;

/* Rows of a batch that go through all their steps together; all pointers are to the first of them. */
typedef struct {
    int kind, zero_masked, started; /* started: there was a state before the first step, or U is not finite */
    long rows, steps, features, units, tiles, width; /* width: units, rounded up to whole vectors */
    Matrix W, U, U_h;
    const float *b;                 /* (tile, columns, lanes) */
    const char *x, *before;         /* x (rows, steps, features); before (rows, units): put out before any valid step */
    ptrdiff_t x_row, x_step, before_row; /* strides in bytes */
    const char *mask;               /* (rows, steps), or NULL */
    ptrdiff_t mask_row, mask_step;
    char *y;                        /* (rows, steps, units), or NULL */
    ptrdiff_t y_row, y_step;
    float *h[2], *c, *z, *rh, *xh;  /* (rows, width); h[t % 2] is the state before the step t */
    long *first_valid;              /* (rows): the first step that is not masked */
    float *ahead;                   /* (rows, ahead_steps, columns, width): x W + b of some steps, or NULL */
    long ahead_steps;
    Fixed *fixed;                   /* of this thread; NULL where U is float32, or there is no VNNI */
} Job;

static inline float *ahead_of(const Job *j, long t, long row)
{
    return j->ahead + (row * j->ahead_steps + t % j->ahead_steps) * j->width * (j->kind == SIMPLE_RNN ? 1 : 4);
}

typedef void (*Step)(const Job *, long, int, long, long, long, long);

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)

#if defined(__x86_64__)
#if defined(__clang__)
#define AVX_512 "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"
#pragma clang attribute push(__attribute__((target(AVX_512))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,prefer-vector-width=512")
#endif
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512vnni"))), apply_to = function)
#include "_kernel_vnni.h"
#pragma clang attribute pop
#else
#pragma GCC push_options
#pragma GCC target("avx512vnni")
#include "_kernel_vnni.h"
#pragma GCC pop_options
#endif
#define NAME(f) JOIN(f, avx512)
#define LANES 16
#define ROWS 6
#include "_kernel_loop.h"
#undef NAME
#undef LANES
#undef ROWS
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define NAME(f) JOIN(f, avx2)
#define LANES 8
#define ROWS 3
#include "_kernel_loop.h"
#undef NAME
#undef LANES
#undef ROWS
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

#define NAME(f) JOIN(f, baseline)
#define LANES 4
#if defined(__aarch64__)
#define ROWS 6
#else
#define ROWS 2
#endif
#include "_kernel_loop.h"
#undef NAME
#undef LANES
#undef ROWS

typedef struct {
    const char *name;
    long lanes;
    Step step;
} InstructionSet;

static const InstructionSet SETS[] = { /* fastest first */
#if defined(__x86_64__)
    {"AVX-512", 16, step_avx512},
    {"AVX2", 8, step_avx2},
    {"SSE2", 4, step_baseline},
#elif defined(__aarch64__)
    {"NEON", 4, step_baseline},
#else
    {"generic", 4, step_baseline},
#endif
};
#define SET_COUNT (sizeof SETS / sizeof *SETS)

static int is_supported(const InstructionSet *set)
{
#if defined(__x86_64__)
    if (set->lanes == 16)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (set->lanes == 8) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return set->lanes == 4;
}

/* --- buffers ------------------------------------------------------------------------------------------------------ */

enum { MAX_AXES = 3 };
typedef struct {
    Py_buffer view; /* view.obj is NULL where nothing is held */
    char *data;
    ptrdiff_t stride[MAX_AXES];
} Array;

static void let_go(Array *arrays, int count)
{
    for (int i = 0; i < count; i++)
        if (arrays[i].view.obj) PyBuffer_Release(&arrays[i].view);
}

/* Holds an object's buffer of float32 ('f'), int8 ('b') or bool ('?') with these sizes; a size of -1 is any, and is
   then filled in. None is held as nothing where that is allowed. 0, or -1 with an exception. */
static int hold(
    Array *a, PyObject *object, const char *name, char type, int writable, int optional, int axes, long *size)
{
    memset(a, 0, sizeof *a);
    if (object == Py_None && optional) return 0;
    if (PyObject_GetBuffer(object, &a->view, PyBUF_STRIDES | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0))) return -1;
    const Py_buffer *view = &a->view;
    const Py_ssize_t item = type == 'f' ? 4 : 1;
    const char *format = view->format ? view->format : "B";
    if (*format == '@' || *format == '=') format++;
    if (view->ndim != axes) {
        PyErr_Format(PyExc_ValueError, "%s: has %d axes, not %d", name, view->ndim, axes);
        return -1;
    }
    if (format[0] != type || format[1] || view->itemsize != item) {
        PyErr_Format(PyExc_BufferError, "%s: not of the type '%c'", name, type);
        return -1;
    }
    int gaps = 0;
    for (int i = 0; i < axes; i++) {
        const Py_ssize_t n = view->shape[i], stride = view->strides[i];
        if (size[i] == -1 && n <= LONG_MAX) size[i] = (long)n;
        if (n != size[i]) {
            PyErr_Format(PyExc_ValueError, "%s: axis %d has %zd places, not %ld", name, i, n, size[i]);
            return -1;
        }
        a->stride[i] = n > 1 ? stride : 0;
        if (n > 1) gaps |= stride % item != 0;
        if (type == 'f' && i == axes - 1 && n > 1) gaps |= stride != item;
    }
    a->data = view->buf;
    if (view->len > 0) gaps |= (uintptr_t)view->buf % (size_t)item != 0;
    if (gaps) {
        PyErr_Format(PyExc_BufferError, "%s: lies in memory with gaps or unaligned", name);
        return -1;
    }
    return 0;
}

/* --- Cell --------------------------------------------------------------------------------------------------------- */

/* The last three are the scales of the first three, where those are int8. */
enum { W_, U_, U_H_, B_, W_SCALE, U_SCALE, U_H_SCALE, WEIGHTS };
static const char *const WEIGHT_NAMES[] = {"W", "U", "U_h", "b", "W_scale", "U_scale", "U_h_scale"};

typedef struct {
    PyObject_HEAD
    const InstructionSet *set;
    int kind, finite;
    long features, units, tiles;
    Array weights[WEIGHTS];
} Cell;

static void cell_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    let_go(((Cell *)self)->weights, WEIGHTS);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyObject *cell_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    const char *set_name;
    int kind, finite;
    long features, units;
    PyObject *given[WEIGHTS];
    if (kwargs && PyDict_Size(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "Cell takes no keywords");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "sipllOOOOOOO:Cell", &set_name, &kind, &finite, &features, &units, given, given + 1,
                          given + 2, given + 3, given + 4, given + 5, given + 6))
        return NULL;
    const InstructionSet *set = NULL;
    for (size_t i = 0; i < SET_COUNT; i++)
        if (!strcmp(SETS[i].name, set_name) && is_supported(&SETS[i])) set = &SETS[i];
    if (!set || kind < 0 || kind >= KINDS || features < 0 || units < 1 || features > INT32_MAX || units > INT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "Cell: no such instruction set, kind, features or units");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Cell *cell = (Cell *)allocate(type, 0);
    if (!cell) return NULL;
    cell->set = set, cell->kind = kind, cell->finite = finite, cell->features = features, cell->units = units;
    cell->tiles = (units + set->lanes - 1) / set->lanes;
    const long inner[] = {features, units, units, 1, 1, 1, 1};
    const long columns[] = {COLUMNS_W[kind], COLUMNS_U[kind], 1, COLUMNS_B[kind], 2 * COLUMNS_W[kind],
                            2 * COLUMNS_U[kind], 2};
    for (int i = 0; i < WEIGHTS; i++) {
        long size = 0;
        const int matrix = i % W_SCALE, int8 = matrix != B_ && given[matrix + W_SCALE] != Py_None;
        const int none = (matrix == U_H_ && kind != GRU_BEFORE) || (i >= W_SCALE && !int8);
        const char type = int8 && i < W_SCALE ? 'b' : 'f';
        const int64_t depth = type == 'b' ? ((int64_t)inner[i] + 3) / 4 * 4 : inner[i];
        int64_t total;
        if (__builtin_mul_overflow((int64_t)cell->tiles * set->lanes * columns[i], depth, &total) ||
            total > LONG_MAX / 4) {
            PyErr_SetString(PyExc_ValueError, "Cell: too large");
            goto failed;
        }
        size = (long)total;
        if (hold(&cell->weights[i], none ? Py_None : given[i], WEIGHT_NAMES[i], type, 0, none, 1, &size)) goto failed;
    }
    return (PyObject *)cell;
failed:
    Py_DECREF(cell);
    return NULL;
}

/* --- running ------------------------------------------------------------------------------------------------------ */

/* What Cell.run was given, checked. */
enum { X, MASK, H, C, BEFORE, Y, H_NEW, C_NEW, SHOWN, ARGUMENTS };
typedef struct {
    const Cell *cell;
    long batch, steps;
    int zero_masked;
    Array array[ARGUMENTS];
} Call;

static const char *const NAMES[] = {"x", "mask", "h", "c", "before", "y", "h_new", "c_new", "shown"};

/* What a step of the rows of one block keeps at hand should stay in the fast caches, beside the weights of a tile. */
enum { BLOCK_BYTES = 96 * 1024, LEAST_ROWS = 48 };

static long block_rows(const Cell *cell, long batch)
{
    const long width = cell->tiles * cell->set->lanes;
    long rows = BLOCK_BYTES / (4 * (3 * width + cell->features));
    if (rows < LEAST_ROWS) rows = LEAST_ROWS;
    if (batch <= rows) return batch;
    const long count = (batch + rows - 1) / rows;
    return (batch + count - 1) / count;
}

static float *take(float **at, long numbers)
{
    float *taken = *at;
    *at += (numbers + 15) / 16 * 16;
    return taken;
}

static void copy_rows(float *to, ptrdiff_t to_row, const char *from, ptrdiff_t from_row, long rows, long units)
{
    for (long r = 0; r < rows; r++) memcpy((char *)to + r * to_row, from + r * from_row, (size_t)units * 4);
}

static long width_of(const Cell *cell) { return cell->tiles * cell->set->lanes; }

/* Batches of so few rows leave the weights of x half idle: what x adds is made for several steps at once, in 64 kB. */
enum { AHEAD_ROWS = 3, AHEAD_NUMBERS = 16384, AHEAD_LEAST = 6, AHEAD_MOST = 48 };

static long ahead_steps(const Call *call)
{
    const Cell *cell = call->cell;
    if (call->batch > AHEAD_ROWS || call->steps < 2 || !call->batch) return 0;
    const long each = call->batch * width_of(cell) * COLUMNS_B[cell->kind];
    const long count = AHEAD_NUMBERS / each / AHEAD_LEAST * AHEAD_LEAST;
    return count < AHEAD_LEAST ? AHEAD_LEAST : count < AHEAD_MOST ? count : AHEAD_MOST;
}

/* So many floats to whole lines of the cache. */
static size_t padded(long numbers) { return ((size_t)numbers + 15) / 16 * 16; }

/* Floats that `enter` needs for so many rows. */
static size_t scratch_size(const Call *call, long rows)
{
    const Cell *cell = call->cell;
    const size_t each = padded(rows * width_of(cell)), ahead = padded(rows * ahead_steps(call) * width_of(cell));
    return each * (cell->kind == GRU_BEFORE ? 6 : 3) + ahead * (size_t)COLUMNS_B[cell->kind] + padded(2 * rows) + 16;
}

/* Whether the states of a cell go through its matrices as fixed-point numbers. */
static int uses_fixed(const Cell *cell)
{
#if defined(__x86_64__)
    enum { LARGEST = 65536 }; /* sums of so many products of two bytes fit 32 bits */
    return cell->set->lanes == 16 && (cell->weights[U_SCALE].data || cell->weights[U_H_SCALE].data) &&
           cell->units <= LARGEST && __builtin_cpu_supports("avx512vnni");
#else
    (void)cell;
    return 0;
#endif
}

/* Floats that `Fixed` needs for so many rows. */
static size_t fixed_size(const Cell *cell, long rows)
{
    return uses_fixed(cell) ? padded(rows * width_of(cell)) + padded(rows) : 0;
}

static Fixed fixed_in(long rows, long width, float *scratch)
{
    return (Fixed){-1, (uint8_t *)scratch, scratch + padded(rows * width), width};
}

static Matrix matrix_of(const Cell *cell, int which)
{
    const char *w = cell->weights[which].data, *scale = cell->weights[which + W_SCALE].data;
    return (Matrix){scale ? NULL : (const float *)w, scale ? (const int8_t *)w : NULL, (const float *)scale};
}

/* The rows start..start + rows of a call, in their state before the first step. */
static Job enter(const Call *call, long start, long rows, float *scratch)
{
    const Cell *cell = call->cell;
    const Array *a = call->array;
    Job j = {
        .kind = cell->kind, .zero_masked = call->zero_masked, .started = a[H].data != NULL || !cell->finite,
        .rows = rows, .steps = call->steps, .features = cell->features, .units = cell->units, .tiles = cell->tiles,
        .width = cell->tiles * cell->set->lanes,
        .W = matrix_of(cell, W_), .U = matrix_of(cell, U_), .U_h = matrix_of(cell, U_H_),
        .b = (const float *)cell->weights[B_].data,
        .x = a[X].data + start * a[X].stride[0], .x_row = a[X].stride[0], .x_step = a[X].stride[1],
        .before_row = a[BEFORE].stride[0], .mask_row = a[MASK].stride[0], .mask_step = a[MASK].stride[1],
        .y_row = a[Y].stride[0], .y_step = a[Y].stride[1],
    };
    if (a[BEFORE].data) j.before = a[BEFORE].data + start * j.before_row;
    if (a[MASK].data) j.mask = a[MASK].data + start * j.mask_row;
    if (a[Y].data) j.y = a[Y].data + start * j.y_row;
    const long numbers = rows * j.width;
    j.h[0] = take(&scratch, numbers), j.h[1] = take(&scratch, numbers), j.c = take(&scratch, numbers);
    if (j.kind == GRU_BEFORE)
        j.z = take(&scratch, numbers), j.rh = take(&scratch, numbers), j.xh = take(&scratch, numbers);
    j.ahead_steps = ahead_steps(call);
    if (j.ahead_steps) j.ahead = take(&scratch, rows * j.ahead_steps * j.width * COLUMNS_B[j.kind]);
    j.first_valid = (long *)scratch;

    memset(j.h[0], 0, (size_t)numbers * 4);
    memset(j.c, 0, (size_t)numbers * 4);
    const ptrdiff_t wide = j.width * 4;
    if (a[H].data) copy_rows(j.h[0], wide, a[H].data + start * a[H].stride[0], a[H].stride[0], rows, j.units);
    if (a[C].data) copy_rows(j.c, wide, a[C].data + start * a[C].stride[0], a[C].stride[0], rows, j.units);
    for (long r = 0; r < rows; r++) {
        long t = 0;
        while (j.mask && t < j.steps && !j.mask[r * j.mask_row + t * j.mask_step]) t++;
        j.first_valid[r] = t;
    }
    return j;
}

/* Gives out the state after the last step. */
static void leave(const Call *call, const Job *job, long start)
{
    const Array *a = call->array;
    const Job j = *job;
    const float *h = j.h[j.steps & 1];
    for (long r = 0; r < j.rows; r++) {
        const size_t bytes = (size_t)j.units * 4;
        memcpy(a[H_NEW].data + (start + r) * a[H_NEW].stride[0], h + r * j.width, bytes);
        if (a[C_NEW].data) memcpy(a[C_NEW].data + (start + r) * a[C_NEW].stride[0], j.c + r * j.width, bytes);
        if (!a[SHOWN].data) continue;
        char *shown = a[SHOWN].data + (start + r) * a[SHOWN].stride[0];
        const int last_valid = j.steps && (!j.mask || j.mask[r * j.mask_row + (j.steps - 1) * j.mask_step]);
        if (last_valid || (!j.zero_masked && j.first_valid[r] < j.steps)) memcpy(shown, h + r * j.width, bytes);
        else if (!j.zero_masked && j.before) memcpy(shown, j.before + r * j.before_row, bytes);
        else memset(shown, 0, bytes);
    }
}

static int halves(const Cell *cell) { return cell->kind == GRU_BEFORE ? 2 : 1; }

/* Floats that begin a line of the cache, in *memory, which is to be freed. */
static float *allocate(size_t numbers, void **memory)
{
    *memory = malloc(numbers * 4 + 64);
    return *memory ? (float *)(((uintptr_t)*memory + 63) / 64 * 64) : NULL;
}

static void run_block(const Call *call, long start, long rows, float *scratch)
{
    const Cell *cell = call->cell;
    Job j = enter(call, start, rows, scratch + fixed_size(cell, rows));
    Fixed fixed = fixed_in(rows, j.width, scratch);
    if (uses_fixed(cell)) j.fixed = &fixed;
    for (long t = 0; t < j.steps; t++)
        for (int half = 0; half < halves(cell); half++) cell->set->step(&j, t, half, 0, rows, 0, j.tiles);
    leave(call, &j, start);
}

#include "_kernel_threads.h"

/* --- Cell.run ----------------------------------------------------------------------------------------------------- */

/* Vector operations from which other threads of Python may run meanwhile: 100 us and more. Giving the lock away costs
   little, but may cost a whole turn of another thread to get back. */
static const double LONG_RUN = 2.5e5;

/* Holds what a call was given, ARGUMENTS + 2 objects; what it holds is to be let go in any case. 0, or -1 with an
   exception. */
static int take_call(Call *call, const Cell *cell, PyObject *const *args, long *threads)
{
    *call = (Call){.cell = cell};
    call->zero_masked = PyObject_IsTrue(args[ARGUMENTS]);
    if (call->zero_masked < 0) return -1;
    *threads = PyLong_AsLong(args[ARGUMENTS + 1]);
    if (*threads < 0 || *threads > INT_MAX) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "threads: a number, 0 for as many as there are processors");
        return -1;
    }
    long x_size[] = {-1, -1, cell->features};
    if (hold(&call->array[X], args[X], NAMES[X], 'f', 0, 0, 3, x_size)) return -1;
    call->batch = x_size[0], call->steps = x_size[1];
    for (int i = MASK; i < ARGUMENTS; i++) {
        const int writable = i >= Y, sequence = i == Y || i == MASK;
        const int optional = i != H_NEW && !(i == C_NEW && cell->kind == LSTM);
        long size[] = {call->batch, cell->units, 0};
        if (sequence) size[1] = call->steps, size[2] = cell->units;
        const char type = i == MASK ? '?' : 'f';
        if (hold(&call->array[i], args[i], NAMES[i], type, writable, optional, i == Y ? 3 : 2, size)) return -1;
    }
    if (cell->kind == LSTM && !call->array[H].data != !call->array[C].data) {
        PyErr_SetString(PyExc_ValueError, "h and c are given together");
        return -1;
    }
    return 0;
}

/* None, or NULL with an exception. */
static PyObject *run_calls(const Call *calls, int count, long threads)
{
    int out_of_memory;
    if (work_of(calls, count) < LONG_RUN) {
        out_of_memory = run_all(calls, count, (int)threads);
    } else {
        Py_BEGIN_ALLOW_THREADS
        out_of_memory = run_all(calls, count, (int)threads);
        Py_END_ALLOW_THREADS
    }
    if (out_of_memory) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

/* run(x, mask, h, c, before, y, h_new, c_new, shown, zero_masked, threads) */
static PyObject *cell_run(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != ARGUMENTS + 2) {
        PyErr_Format(PyExc_TypeError, "run takes %d arguments, not %zd", ARGUMENTS + 2, count);
        return NULL;
    }
    Call call;
    long threads;
    PyObject *result = NULL;
    if (!take_call(&call, (const Cell *)self, args, &threads)) result = run_calls(&call, 1, threads);
    let_go(call.array, ARGUMENTS);
    return result;
}

/* run_with(other, its arguments, own arguments): two calls side by side, the arguments of each a tuple as of run. */
static PyObject *cell_run_with(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    PyTypeObject *type = Py_TYPE(self);
    if (count != 3 || Py_TYPE(args[0]) != type || !PyTuple_Check(args[1]) || !PyTuple_Check(args[2]) ||
        PyTuple_Size(args[1]) != ARGUMENTS + 2 || PyTuple_Size(args[2]) != ARGUMENTS + 2) {
        PyErr_SetString(PyExc_TypeError, "run_with takes another Cell, and two tuples of arguments as of run");
        return NULL;
    }
    Call calls[2] = {{.cell = NULL}};
    long threads = 0;
    int failed = 0;
    for (int i = 0; i < 2 && !failed; i++) {
        PyObject *given[ARGUMENTS + 2];
        for (int k = 0; k < ARGUMENTS + 2; k++) given[k] = PyTuple_GetItem(args[2 - i], k);
        failed = take_call(calls + i, (const Cell *)(i ? args[0] : self), given, &threads);
    }
    PyObject *result = failed ? NULL : run_calls(calls, 2, threads);
    for (int i = 0; i < 2; i++) let_go(calls[i].array, ARGUMENTS);
    return result;
}

/* --- module ------------------------------------------------------------------------------------------------------- */

static PyMethodDef cell_methods[] = {
    {"run", (PyCFunction)(void (*)(void))cell_run, METH_FASTCALL,
     "run(x, mask, h, c, before, y, h_new, c_new, shown, zero_masked, threads): see _kernel.pyi"},
    {"run_with", (PyCFunction)(void (*)(void))cell_run_with, METH_FASTCALL,
     "run_with(other, its_arguments, own_arguments): see _kernel.pyi"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot cell_slots[] = {
    {Py_tp_new, cell_new},
    {Py_tp_dealloc, cell_dealloc},
    {Py_tp_methods, cell_methods},
    {Py_tp_doc, "A recurrent node's weights, ready to run"},
    {0, NULL},
};

static PyType_Spec cell_spec = {"lstmconv_runtime._kernel.Cell", sizeof(Cell), 0, Py_TPFLAGS_DEFAULT, cell_slots};

/* The instruction sets of this processor with their lanes, fastest first. */
static PyObject *instruction_sets(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    PyObject *found = PyDict_New();
    for (size_t i = 0; found && i < SET_COUNT; i++) {
        if (!is_supported(&SETS[i])) continue;
        PyObject *lanes = PyLong_FromLong(SETS[i].lanes);
        if (!lanes || PyDict_SetItemString(found, SETS[i].name, lanes)) Py_CLEAR(found);
        Py_XDECREF(lanes);
    }
    return found;
}

static int fill_module(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&cell_spec);
    if (!type) return -1;
    const int failed = PyModule_AddObjectRef(module, "Cell", type);
    Py_DECREF(type);
    return failed;
}

static PyMethodDef module_methods[] = {
    {"instruction_sets", instruction_sets, METH_NOARGS, "{name: lanes} of this processor, fastest first"},
    {NULL, NULL, 0, NULL},
};
static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, (void *)fill_module}, {0, NULL}};
static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_kernel", "Compiled loops over time.", 0, module_methods, module_slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__kernel(void);
PyMODINIT_FUNC PyInit__kernel(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
#endif
    return PyModuleDef_Init(&module_definition);
}
