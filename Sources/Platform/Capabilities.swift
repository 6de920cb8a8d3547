import CLibcap
import CPlatform
import Glibc

/// What of the superuser's power is left to the supervisor once the guest runs.
public enum Capabilities {
    /// The supervisor's: to signal a guest of another user and to be faster than it, to reach lease files and records
    /// whoever owns them, and to keep its memory locked.
    private static let supervisor: [Int32] = [
        CAP_KILL, CAP_SYS_NICE, CAP_DAC_OVERRIDE, CAP_CHOWN, CAP_FOWNER, CAP_IPC_LOCK,
    ]

    /// Drops what the calling thread doesn't need any more. Every thread of a process has capabilities of its own, so each
    /// of them calls this. The guest, started before, has what a direct start would have given it.
    ///
    /// - Parameter seesGuest: whether to keep the right to see how much the guest writes (`StorageWrites`), and what it has
    ///   open (`OpenFiles`).
    public static func dropUnneeded(seesGuest: Bool) throws(SystemError) {
        guard let set = cap_init() else { throw SystemError("cap_init") }
        defer { cap_free(UnsafeMutableRawPointer(set)) }
        guard let current = cap_get_proc() else { throw SystemError("cap_get_proc") }
        defer { cap_free(UnsafeMutableRawPointer(current)) }
        for capability in supervisor + (seesGuest ? [CAP_SYS_PTRACE] : []) {
            var value = cap_value_t(capability)
            var held = CAP_CLEAR
            guard cap_get_flag(current, value, CAP_PERMITTED, &held) == 0, held == CAP_SET else { continue }
            cap_set_flag(set, CAP_PERMITTED, 1, &value, CAP_SET)
            if cap_get_flag(current, value, CAP_EFFECTIVE, &held) == 0, held == CAP_SET {
                cap_set_flag(set, CAP_EFFECTIVE, 1, &value, CAP_SET)
            }
        }
        try checked("cap_set_proc") { cap_set_proc(set) }
    }

    /// Has exec leave the calling thread what it has of these, or not. Root's own exec gives them all.
    ///
    /// Source: `man 7 capabilities`, ambient ones.
    static func passOverExec(_ passes: Bool) {
        guard geteuid() != 0, let set = cap_get_proc() else { return }
        defer { cap_free(UnsafeMutableRawPointer(set)) }
        cap_reset_ambient()
        cap_clear_flag(set, CAP_INHERITABLE)
        var held: [cap_value_t] = []
        for capability in supervisor + [CAP_SYS_PTRACE] where passes {
            var value = cap_value_t(capability)
            var state = CAP_CLEAR
            guard cap_get_flag(set, value, CAP_PERMITTED, &state) == 0, state == CAP_SET else { continue }
            cap_set_flag(set, CAP_INHERITABLE, 1, &value, CAP_SET)
            held.append(value)
        }
        guard cap_set_proc(set) == 0 else { return }
        for value in held { cap_set_ambient(value, CAP_SET) }
    }
}
