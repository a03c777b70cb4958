"""The competition, seen from the parent.

schedule       who runs when: quads, each a random order and its reverse
contestant     one arm with its processes, one after the other
turns          hands out the turns of one generation and gathers the samples
ceiling_rates  measures the machine in the same rounds
pace           how a budget is shared out between loading and turns
ledger         where a run's time goes
group          one competition: a model, a device, a number of threads
pool           processes of one arm, drawn for one benchmark after another
"""
