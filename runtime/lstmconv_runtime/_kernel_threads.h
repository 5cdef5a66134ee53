/* Threads share either the rows of one call or two, which need nothing of each other, or, where there are too few rows
   for that, the units, with a barrier at each step; then each keeps to its own tiles, whose weights stay in its own
   cache. Either way a piece of work is claimed before it is done, and whoever has none left of his own takes of the
   others. So a thread that the system does not run holds nobody up but while it has a piece: on a busy machine the call
   goes on alone, and does not even wait for a helper to end. For that the Team belongs to all, and the last one frees
   it; a helper that comes too late finds nothing to claim, and touches nothing else.

   Helpers are made when they are first wanted, and sleep between calls: to wake one takes a third of the time that
   making one does, and on a busy machine one that wakes is let run at once, where a new one waits its turn of some
   milliseconds. A call offers its Team to them and takes the offer back when it is done. */
enum { MAX_THREADS = 16 };
typedef struct {
    _Alignas(64) atomic_long claimed; /* of all pieces of this queue over all steps */
    _Alignas(64) atomic_long done;    /* pieces that this thread has done, of whichever queue; he alone writes here */
} Share;

typedef struct Team {
    atomic_int users;
    atomic_int joined;       /* threads that have come, each of which has a number */
    int open;                /* helpers that may still come; this and `next` belong to who holds the lock of the pool */
    struct Team *next;       /* the next that is offered */
#if defined(__linux__)
    cpu_set_t processors;    /* on which the caller may run, and with him his helpers */
#endif
    Share share[MAX_THREADS];
    int shares;              /* as many as threads */
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

/* The number of a piece of a round, of the queue of the thread `number`; -1 where all are claimed. */
static long claim(Team *team, int number, long round)
{
    const long first = team->pieces * number / team->shares, count = team->pieces * (number + 1) / team->shares - first;
    atomic_long *claimed = &team->share[number].claimed;
    long at = atomic_load(claimed);
    while (at < (round + 1) * count)
        if (atomic_compare_exchange_weak(claimed, &at, at + 1)) return first + at - round * count;
    return -1;
}

/* Pieces that are done, over all steps. */
static long done_of(Team *team)
{
    long done = 0;
    for (int k = 0; k < team->shares; k++) done += atomic_load_explicit(&team->share[k].done, memory_order_acquire);
    return done;
}

/* Whether so many pieces are done before so many turns of waiting are over; -1 is as many as it takes. */
static int wait_for(Team *team, long done, long turns)
{
    for (long turn = 0; done_of(team) < done; turn++) {
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

/* Does as the thread `me` what is left in the queue of `number` in a round; whether there was anything. */
static int work_off(Team *team, Job *job, int me, int number, long round, float *scratch)
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
    atomic_long *done = &team->share[me].done;
    if (count) /* not an addition, which would wait for the line of the cache */
        atomic_store_explicit(done, atomic_load_explicit(done, memory_order_relaxed) + count, memory_order_release);
    return count > 0;
}

/* Turns to wait for the others, a microsecond at most, before looking into their queues: a look takes the line of the
   cache away from whose queue it is. Whoever found something there looks at once in the next round. */
enum { PATIENCE = 32 };

/* Works until there is nothing left. */
static void work(Team *team, float *scratch)
{
    const int me = atomic_fetch_add(&team->joined, 1);
    Job mine = team->job; /* what it points to is alive, as the call is, until all pieces are done */
    Fixed fixed;
    if (!team->by_rows && team->fixed) {
        fixed = fixed_in(mine.rows, mine.width, scratch);
        mine.fixed = &fixed;
    }
    int found = 0;
    for (long round = 0; round < team->rounds;) {
        const long done = (round + 1) * team->pieces;
        work_off(team, &mine, me, me, round, scratch);
        if (!wait_for(team, done, found ? 0 : PATIENCE)) {
            found = 0;
            for (int k = 1; k < team->shares; k++)
                found |= work_off(team, &mine, me, (me + k) % team->shares, round, scratch);
            wait_for(team, done, -1);
        } else {
            found = 0;
        }
        round = done_of(team) / team->pieces;
    }
}

/* --- the pool ----------------------------------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t offer; /* there is a new one */
    Team *offered;        /* teams with places that are open */
    int helpers;
} pool = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, 0};

static void *help(void *unused)
{
    (void)unused;
#if defined(__linux__)
    cpu_set_t mine;
    CPU_ZERO(&mine);
#endif
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        while (!pool.offered) pthread_cond_wait(&pool.offer, &pool.lock);
        Team *team = pool.offered;
        if (!--team->open) pool.offered = team->next;
        atomic_fetch_add(&team->users, 1);
        pthread_mutex_unlock(&pool.lock);
#if defined(__linux__)
        if (!CPU_EQUAL(&mine, &team->processors)) {
            mine = team->processors;
            sched_setaffinity(0, sizeof mine, &mine);
        }
#endif
        void *memory = NULL;
        float *scratch = NULL;
        if (!team->scratch || (scratch = allocate(team->scratch, &memory))) work(team, scratch);
        free(memory);
        drop(team);
        pthread_mutex_lock(&pool.lock);
    }
    return NULL;
}

/* What a fork leaves of the pool in the child: nobody, and a lock that is free. */
static void before_fork(void) { pthread_mutex_lock(&pool.lock); }
static void after_fork(void) { pthread_mutex_unlock(&pool.lock); }
static void in_child(void)
{
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.offer, NULL);
    pool.offered = NULL;
    pool.helpers = 0;
}
static void expect_forks(void) { pthread_atfork(before_fork, after_fork, in_child); }

/* One more helper, who leaves signals to Python's threads; whether there is. */
static int make_helper(void)
{
    pthread_attr_t detached;
    pthread_t thread;
    sigset_t all, before;
    if (pthread_attr_init(&detached)) return 0;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int made = !pthread_create(&thread, &detached, help, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    return made;
}

/* Asks so many helpers to join. Those that are busy elsewhere, or cannot be made, stay away. */
static void offer(Team *team, int helpers)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, expect_forks);
#if defined(__linux__)
    sched_getaffinity(0, sizeof team->processors, &team->processors);
#endif
    pthread_mutex_lock(&pool.lock);
    while (pool.helpers < helpers && make_helper()) pool.helpers++;
    team->open = helpers;
    team->next = pool.offered;
    pool.offered = team;
    for (int k = 0; k < helpers; k++) pthread_cond_signal(&pool.offer);
    pthread_mutex_unlock(&pool.lock);
}

static void take_back(Team *team)
{
    pthread_mutex_lock(&pool.lock);
    Team **at = &pool.offered;
    while (*at && *at != team) at = &(*at)->next;
    if (*at) *at = team->next;
    pthread_mutex_unlock(&pool.lock);
}

/* --- sharing ------------------------------------------------------------------------------------------------------ */

static int processors(void)
{
#if defined(__linux__)
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set)) return CPU_COUNT(&set);
#endif
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > MAX_THREADS ? MAX_THREADS : (int)count;
}

/* Vector operations that are worth a helper, whom to wake takes some 10 us: of all that is called for, 40 us and more,
   and of a step where all wait for each other after it. A short step is one piece for each thread. */
static const double SHARED_WORK = 6e4, STEP_WORK = 4e3, SHORT_STEP = 2e4;
/* A thread that takes rows reads all the weights at each step, in the other way only its own: no more bytes than these
   for each of its rows. */
enum { LEAST_SHARED_ROWS = 2, BYTES_OF_A_ROW = 384 * 1024 };

/* Vector operations of a step of a row. */
static double row_work(const Cell *cell)
{
    return (double)(cell->features + cell->units) * cell->tiles * COLUMNS_W[cell->kind];
}

static double work_of(const Call *calls, int count)
{
    double work = 0;
    for (int i = 0; i < count; i++) work += row_work(calls[i].cell) * calls[i].batch * calls[i].steps;
    return work;
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
    if (threads != 1 && work_of(calls, count) < SHARED_WORK) threads = 1;
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
    team->shares = threads, team->pieces = pieces, team->by_rows = by_rows, team->calls = calls;
    team->tiles_each = tiles_each, team->first_pieces = blocks[0];
    team->rows_each[0] = rows_each[0], team->rows_each[1] = rows_each[1];
    team->rounds = by_rows ? 1 : calls->steps * halves(cell);
    team->scratch = by_rows ? size : fixed;
    team->fixed = uses_fixed(cell);
    if (!by_rows) team->job = enter(calls, 0, calls->batch, scratch + fixed);
    atomic_store(&team->users, 1);
    offer(team, threads - 1);
    work(team, scratch);
    take_back(team);
    if (!by_rows) leave(calls, &team->job, 0);
    drop(team);
    free(memory);
    return 0;
}
