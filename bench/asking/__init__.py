"""The process that asks a server, and does nothing else.

level      so many requests at a time, or so many a second, for so long
lateness   how late the client itself is
generator  closed and open loops; latency counts from the scheduled time
client     the process itself
caller     the same, as the harness sees it: started, asked, ended
pinned     a command on some CPUs alone
"""
