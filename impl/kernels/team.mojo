"""Steps that follow one another, shared by the cores without a fork and join for each.

Every worker walks the same list of steps. Of each it takes parts until none is left, then waits
until the parts that others took are done. So it waits only for parts that somebody computes right
now: it does not matter how many workers really run, nor when they begin. One alone does everything,
and one that comes late goes on where the others are.
"""

from std.atomic import Atomic
from std.ffi import external_call
from std.memory import alloc
from std.sys.info import num_physical_cores

from max.algorithm import sync_parallelize

comptime Counters = Pointer[Int64, MutUntrackedOrigin]

comptime LINE = 8
"""Counters lie a cache line apart, so that taking a part does not disturb who waits."""

comptime SPINS = 4096
"""Looks at a counter, some microseconds, before a worker lets others have its core."""

comptime PARTS_PER_CORE = 8
"""A core that is held up leaves work to the others."""


@fieldwise_init
struct Worker(Copyable, Movable):
    """One worker's place in the list of steps."""

    var counters: Counters  # [steps, 2, LINE]: parts taken, parts done
    var step: Int

    def share[Work: def(Int) -> None](mut self, parts: Int, work: Work):
        """Compute some of the next step's parts; return when all of them are done."""
        var taken = self.counters.unsafe_offset(self.step * 2 * LINE)
        var done = taken.unsafe_offset(LINE)
        self.step += 1
        var part = Int(Atomic[Int64].fetch_add(taken, 1))
        while part < parts:
            work(part)
            _ = Atomic[Int64].fetch_add(done, 1)
            part = Int(Atomic[Int64].fetch_add(taken, 1))
        var looks = 0
        while Int(Atomic[Int64].load(done)) < parts:
            looks += 1
            if looks > SPINS:
                _ = external_call["sched_yield", Int32]()


comptime WORTH = 1 << 18
"""Multiply-adds for which it pays to call another core: 1 MiB of weights, some 20 microseconds."""


def together[Walk: def(mut Worker) -> None](steps: Int, work: Int, walk: Walk):
    """Walk through so many steps on all cores, or on as many as `work` multiply-adds are worth."""
    var size = steps * 2 * LINE
    var counters = Counters(unsafe_from_address=Int(alloc[Int64](size, alignment=64)))
    for i in range(size):
        counters.unsafe_store(i, Int64(0))

    def begin(_t: Int) {imm}:
        var worker = Worker(counters, 0)
        walk(worker)

    sync_parallelize(begin, min(num_physical_cores(), max(1, work // WORTH)))
    counters.unsafe_free()
