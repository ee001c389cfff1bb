# SPDX-License-Identifier: Apache-2.0
# A command to an order, repeated under its key, is decided anew.
/^static bool answered_before/,/^}/ s/const struct remembered_command \*remembered = turn->remembered;/const struct remembered_command *remembered = turn->remembered; if (id_equal(\&remembered->command_id, \&command->command_id)) return false;/
