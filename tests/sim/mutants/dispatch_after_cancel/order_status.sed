# SPDX-License-Identifier: Apache-2.0
# The assertion against it is gone too.
/RULE(!leaving/d
