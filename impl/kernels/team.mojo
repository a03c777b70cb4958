"""Steps that follow one another, shared by the cores without a fork and join for each.

Every worker walks the same list of steps. Of each it takes parts until none is left, then waits
until the parts that others took are done. So it waits only for parts that another worker is
computing: it does not matter how many workers really run, nor when they begin. One alone does everything,
and one that comes late goes on where the others are. So how many parts a step has may not depend on
memory that a later step writes: who comes late would read another number, and wait for ever.
"""

from std.atomic import Atomic
from std.ffi import external_call
from std.memory import alloc
from std.bit import pop_count
from std.sys.info import CompilationTarget, num_physical_cores

from max.algorithm import sync_parallelize

from .tile import Floats, floats

comptime Counters = Pointer[Int64, MutUntrackedOrigin]

comptime LINE = 8
"""Counters lie a cache line apart, so that taking a part does not disturb who waits."""

comptime SPINS = 4096
"""Looks at a counter, some microseconds, before a worker lets others have its core."""


def cut(units: Int, part: Int, team: Int) -> Tuple[Int, Int]:
    """Where a part of a step of so many units begins and ends; empty behind the last part.

    Each of a team takes a share of what is left, so that parts are long first, as streams of memory like
    them, and short at the end, where workers wait for one another.
    """
    var start, left = 0, units
    for _ in range(part):
        var size = share_of(left, team)
        start += size
        left -= size
    return start, start + share_of(left, team)


def parts_of(units: Int, team: Int) -> Int:
    """Parts that `cut` makes."""
    var left, parts = units, 0
    while left > 0:
        left -= share_of(left, team)
        parts += 1
    return parts


def share_of(left: Int, team: Int) -> Int:
    """Half of an even share for each worker, at least one unit while there is one; all for one."""
    return left if team == 1 else min(left, max(1, left // (2 * team)))


comptime MASK = 128
"""Words of 64 CPUs each: more than Linux has."""


def usable_cores() -> Int:
    """Cores that this process may use: a benchmark or a container may have fewer than there are.

    Workers that shared one would wait for each other by turns of the scheduler.
    """
    comptime if CompilationTarget.is_linux():
        var mask = Array[UInt64, MASK](fill=UInt64(0))
        var process = external_call["getpid", Int32]()
        var failed = external_call["sched_getaffinity", Int32](process, MASK * 8, Pointer(to=mask))
        if failed == 0:
            var count = 0
            for i in range(MASK):
                count += Int(pop_count(mask[i]))
            return max(1, min(count, num_physical_cores()))
    return num_physical_cores()


@fieldwise_init
struct Worker(Copyable, Movable):
    """One worker's place in the list of steps."""

    var counters: Counters  # [steps, 2, LINE]: parts taken, parts done
    var step: Int
    var team: Int  # workers that were called
    var own: Floats  # memory that no other worker sees

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


comptime WORTH = 1 << 15
"""Multiply-adds of a step for each core that is called, of steps that may be empty. Workers wait
for each other after every step, some microseconds in which one alone goes on."""


def together[Walk: def(mut Worker) -> None](steps: Int, work: Int, own: Int, walk: Walk):
    """Walk through so many steps, of `work` multiply-adds together, on the cores that are worth it.

    Each worker has `own` floats for itself.
    """
    var team = min(usable_cores(), max(1, work // (steps * WORTH)))
    var size = steps * 2 * LINE
    var counters = Counters(unsafe_from_address=Int(alloc[Int64](size, alignment=64)))
    for i in range(size):
        counters.unsafe_store(i, Int64(0))

    def begin(_t: Int) {imm}:
        var memory = floats(own)
        var worker = Worker(counters, 0, team, memory)
        walk(worker)
        memory.unsafe_free()

    sync_parallelize(begin, team)
    counters.unsafe_free()
