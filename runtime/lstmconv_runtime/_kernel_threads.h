/* Threads share either the rows of one call or two, which need nothing of each other, or, where there are too few rows
   for that, the units, with a barrier at each step; then each keeps to its own tiles, whose weights stay in its own
   cache. Either way a piece of work is claimed before it is done, and whoever has none left of his own takes of the
   others. So a thread that the system does not run holds nobody up but while it has a piece: on a busy machine the call
   goes on alone, and does not even wait for a helper to end. For that the Team belongs to all, and the last one frees
   it; a helper that comes too late finds nothing to claim, and touches nothing else.

   Threads are made for each call (some 10 us, where a call that is shared takes 100 or more) and end with it: none
   spins or sleeps between calls, and there is nothing that a fork could break. */
enum { MAX_THREADS = 16 };
typedef struct {
    _Alignas(64) atomic_long claimed; /* of all pieces of this queue over all steps */
} Queue;

typedef struct {
    atomic_int users;
    atomic_int joined;       /* threads that have come, each of which has a number */
    _Alignas(64) atomic_long done; /* pieces, over all steps */
    Queue queue[MAX_THREADS];
    int queues;
    long pieces, rounds;     /* pieces of a round; rounds: steps, or halves of steps */
    long tiles_each, rows_each[2], first_pieces; /* first_pieces: those of the first call */
    int by_rows;             /* pieces are blocks of rows_each rows; else tiles of the job, tiles_each */
    size_t scratch;          /* floats that a thread needs */
    int fixed;               /* states are taken as fixed-point numbers */
    const Call *calls;       /* one, or, by rows, two; alive until all pieces are done */
    Job job;
} Team;

static void drop(Team *team)
{
    if (atomic_fetch_sub(&team->users, 1) == 1) free(team);
}

/* The number of a piece of a round, of the queue `number`; -1 where all are claimed. */
static long claim(Team *team, int number, long round)
{
    const long first = team->pieces * number / team->queues, count = team->pieces * (number + 1) / team->queues - first;
    atomic_long *claimed = &team->queue[number].claimed;
    long at = atomic_load(claimed);
    while (at < (round + 1) * count)
        if (atomic_compare_exchange_weak(claimed, &at, at + 1)) return first + at - round * count;
    return -1;
}

/* Whether so many pieces are done before so many turns of waiting are over; -1 is as many as it takes. */
static int wait_for(Team *team, long done, long turns)
{
    for (long turn = 0; atomic_load_explicit(&team->done, memory_order_acquire) < done; turn++) {
        if (turn == turns) return 0;
#if defined(__x86_64__)
        if (turn < 2000) __builtin_ia32_pause();
#elif defined(__aarch64__)
        if (turn < 2000) __asm__ __volatile__("yield");
#else
        if (turn < 0) continue;
#endif
        else sched_yield();
    }
    return 1;
}

/* Does what is left in a queue of a round; whether there was anything. */
static int work_off(Team *team, Job *job, int number, long round, float *scratch)
{
    long count = 0;
    for (long piece; (piece = claim(team, number, round)) >= 0; count++) {
        if (team->by_rows) {
            const int which = piece >= team->first_pieces;
            const Call *call = team->calls + which;
            const long each = team->rows_each[which], start = (piece - which * team->first_pieces) * each;
            run_block(call, start, call->batch - start < each ? call->batch - start : each, scratch);
        } else {
            const Cell *cell = team->calls->cell;
            const long first = piece * team->tiles_each, end = first + team->tiles_each;
            const int both = halves(cell);
            cell->set->step(job, round / both, (int)(round % both), 0, job->rows, first,
                            end < job->tiles ? end : job->tiles);
        }
    }
    if (count) atomic_fetch_add_explicit(&team->done, count, memory_order_release);
    return count > 0;
}

/* Turns to wait for the others, a microsecond at most, before looking into their queues: a look takes the line of the
   cache away from whose queue it is. Whoever found something there looks at once in the next round. */
enum { PATIENCE = 32 };

/* Works until there is nothing left. */
static void work(Team *team, float *scratch)
{
    const int me = atomic_fetch_add(&team->joined, 1) % team->queues;
    Job mine = team->job; /* what it points to is alive, as the call is, until all pieces are done */
    Fixed fixed;
    if (!team->by_rows && team->fixed) {
        fixed = fixed_in(mine.rows, mine.width, scratch);
        mine.fixed = &fixed;
    }
    int found = 0;
    for (long round = 0; round < team->rounds;) {
        const long done = (round + 1) * team->pieces;
        work_off(team, &mine, me, round, scratch);
        if (!wait_for(team, done, found ? 0 : PATIENCE)) {
            found = 0;
            for (int k = 1; k < team->queues; k++)
                found |= work_off(team, &mine, (me + k) % team->queues, round, scratch);
            wait_for(team, done, -1);
        } else {
            found = 0;
        }
        round = atomic_load_explicit(&team->done, memory_order_acquire) / team->pieces;
    }
}

static void *help(void *given)
{
    Team *team = given;
    void *memory = NULL;
    float *scratch = NULL;
    if (!team->scratch || (scratch = allocate(team->scratch, &memory))) work(team, scratch);
    free(memory);
    drop(team);
    return NULL;
}

static int processors(void)
{
#if defined(__linux__)
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set)) return CPU_COUNT(&set);
#endif
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > MAX_THREADS ? MAX_THREADS : (int)count;
}

/* Vector operations of a step in which all wait for each other after it: from so many on that is worth a thread. */
static const double STEP_WORK = 1.5e3, SHORT_STEP = 2e4;
/* A thread that takes rows reads all the weights at each step, in the other way only its own: no more bytes than these
   for each of its rows. */
enum { LEAST_SHARED_ROWS = 2, BYTES_OF_A_ROW = 384 * 1024 };

/* Vector operations of a step of a row. */
static double row_work(const Cell *cell)
{
    return (double)(cell->features + cell->units) * cell->tiles * COLUMNS_W[cell->kind];
}

/* Whether the rows of a call are few enough to go through it together, and can be shared all the same. */
static int shares_rows(const Call *call, int threads)
{
    const double bytes = row_work(call->cell) * call->cell->set->lanes * 4;
    const long each = call->batch / threads;
    return each >= LEAST_SHARED_ROWS && bytes <= (double)each * BYTES_OF_A_ROW;
}

/* Runs one call or two, which may share their time between so many threads; 0 is as many as there are processors. 0, or
   -1 where there is no memory. */
static int run_all(const Call *calls, int count, int threads)
{
    long rows_each[2] = {0}, blocks[2] = {0};
    size_t size = 0, fixed = 0;
    if (!threads) threads = processors();
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    for (int i = 0; i < count; i++) {
        const Call *call = calls + i;
        rows_each[i] = block_rows(call->cell, call->batch);
        blocks[i] = rows_each[i] ? (call->batch + rows_each[i] - 1) / rows_each[i] : 0;
        fixed = fixed_size(call->cell, rows_each[i]);
        const size_t needed = fixed + scratch_size(call, rows_each[i]);
        if (needed > size) size = needed;
    }
    const Cell *cell = calls->cell;
    void *memory;
    float *scratch = allocate(size, &memory);
    if (!scratch) return -1;

    const int alone = count == 1 && blocks[0] == 1, by_rows = !alone || shares_rows(calls, threads);
    if (by_rows && count == 1 && threads > 1 && blocks[0]) { /* as many blocks for each */
        blocks[0] = (blocks[0] + threads - 1) / threads * threads;
        rows_each[0] = (calls->batch + blocks[0] - 1) / blocks[0];
        blocks[0] = (calls->batch + rows_each[0] - 1) / rows_each[0];
    }
    const double step = row_work(cell) * calls->batch;
    long tiles_each = cell->kind == GRU_BEFORE || cell->kind == SIMPLE_RNN ? 4 : 2;
    while (step < SHORT_STEP && tiles_each * threads < cell->tiles) tiles_each *= 2;
    const long pieces = by_rows ? blocks[0] + blocks[1] : (cell->tiles + tiles_each - 1) / tiles_each;
    if (pieces < threads) threads = (int)pieces;
    Team *team = NULL;
    if (threads > 1 && (by_rows || step >= STEP_WORK))
        team = aligned_alloc(64, (sizeof(Team) + 63) / 64 * 64);
    if (!team) {
        for (int i = 0; i < count; i++)
            for (long start = 0; start < calls[i].batch; start += rows_each[i]) {
                const long left = calls[i].batch - start;
                run_block(calls + i, start, left < rows_each[i] ? left : rows_each[i], scratch);
            }
        free(memory);
        return 0;
    }
    memset(team, 0, sizeof *team);
    team->queues = threads, team->pieces = pieces, team->by_rows = by_rows, team->calls = calls;
    team->tiles_each = tiles_each, team->first_pieces = blocks[0];
    team->rows_each[0] = rows_each[0], team->rows_each[1] = rows_each[1];
    team->rounds = by_rows ? 1 : calls->steps * halves(cell);
    team->scratch = by_rows ? size : fixed;
    team->fixed = uses_fixed(cell);
    if (!by_rows) team->job = enter(calls, 0, calls->batch, scratch + fixed);
    atomic_store(&team->users, 1);
    pthread_attr_t detached;
    if (!pthread_attr_init(&detached)) {
        pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
        for (int k = 1; k < threads; k++) {
            pthread_t thread;
            atomic_fetch_add(&team->users, 1);
            if (pthread_create(&thread, &detached, help, team)) drop(team); /* then there is one less */
        }
        pthread_attr_destroy(&detached);
    }
    work(team, scratch);
    if (!by_rows) leave(calls, &team->job, 0);
    drop(team);
    free(memory);
    return 0;
}
