"""Steps, stores and commands of the platform. Matrices are reckoned by one thread in every process that imports it.

More threads add the same numbers in another order, so the last digits would be of the machine's number of cores, and a plan could not be
made again to the byte elsewhere. It costs nothing: the matrices are small. It has to be said before numpy is loaded.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"
