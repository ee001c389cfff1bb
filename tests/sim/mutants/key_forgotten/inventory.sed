# SPDX-License-Identifier: Apache-2.0
# A command repeated under its key takes effect again.
/^static bool answered_before/,/^}/ s/const struct remembered_command \*remembered = slice->remembered;/const struct remembered_command *remembered = slice->remembered; if (id_equal(\&remembered->command_id, \&command->command_id)) return false;/
