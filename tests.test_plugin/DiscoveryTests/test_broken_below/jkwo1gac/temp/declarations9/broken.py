

import below
