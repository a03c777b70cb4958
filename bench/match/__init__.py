"""The competition, seen from the parent.

schedule       who runs when: quads, each a random order and its reverse
contestant     one arm with its worker process
turns          hands out the turns and gathers the samples
ceiling_rates  measures the machine in the same rounds
group          one competition: a model, a device, a number of threads
"""
