"""What the machine's cores can do at most."""

from .peak import *
from .units import *
