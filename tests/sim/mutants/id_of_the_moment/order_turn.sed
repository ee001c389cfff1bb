# SPDX-License-Identifier: Apache-2.0
# An event's id depends on when it was decided.
s/head->event_id = id_derive(&turn->cause, (uint64_t)head->version);/head->event_id = id_derive(\&turn->cause, (uint64_t)turn->decision->now_us);/
