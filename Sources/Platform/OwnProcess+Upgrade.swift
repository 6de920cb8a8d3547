import CPlatform
import Glibc

extension OwnProcess {
    /// Where the program that runs was when it was executed; nil where the kernel doesn't tell.
    public static var program: String? {
        guard let target = Files.linkTarget("/proc/self/exe") else { return nil }
        let removed = " (deleted)"
        return target.hasSuffix(removed) ? String(target.dropLast(removed.count)) : target
    }

    /// What `ps` calls the process by (`man 5 proc_pid_comm`). A program gets its own at exec, and a notice of the lease
    /// manager's helper is for processes of the helper's name alone.
    public static var shownName: String {
        get {
            let text = (try? Files.read("/proc/self/comm", limit: 64)) ?? []
            return String(decoding: text.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        }
        set { leasehold_set_shown_name(newValue) }
    }

    /// Becomes another program, with the same pid, children and environment, and with these descriptors besides standard
    /// input, output and error. All other threads end with it. Returns only where that fails, with all as it was.
    ///
    /// - Parameters:
    ///   - front: its first arguments, the name it is called by first.
    ///   - rest: those behind them.
    ///   - numbers: descriptors that exec would close.
    public static func become(
        _ path: String, arguments front: [String], _ rest: StringVector, handing numbers: [Int32]
    ) -> SystemError {
        for number in numbers { _ = fcntl(number, F_SETFD, 0) }
        Capabilities.passOverExec(true)
        rest.withFront(front) { _ = execve(path, $0, environ) }
        let failure = SystemError("exec", on: path)
        Capabilities.passOverExec(false)
        for number in numbers { _ = fcntl(number, F_SETFD, FD_CLOEXEC) }
        return failure
    }
}

extension InheritedDescriptors {
    /// Takes descriptors over from the program that this process was before: makes sure that they are open, has exec close
    /// them, and closes all others but standard input, output and error.
    public static func takeOver(_ numbers: [Int32]) throws(SystemError) {
        for number in numbers {
            try checked("fcntl", on: "descriptor \(number)") { fcntl(number, F_SETFD, FD_CLOEXEC) }
        }
        close(self.numbers(), keeping: Set(numbers + [0, 1, 2]))
    }
}
