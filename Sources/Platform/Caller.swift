import CPlatform
import Glibc

/// What this process was started with and the guest gets back: signals, limits, umask.
public struct Caller: Sendable {
    let state: leasehold_caller

    /// Makes the process the supervisor's: reads what the caller set, then blocks every signal, resets every disposition
    /// (but SIGPIPE's, which is ignored), raises the soft limits of descriptors and of file size, and sets umask 022.
    /// To be called before any thread is started.
    ///
    /// A signalfd never shows an ignored signal, and an ignored SIGCHLD loses exit statuses, hence the reset.
    public static func takeOver() -> Caller {
        Caller(state: leasehold_caller_take())
    }

    /// A caller who set nothing: that of a guest which runs already, and gets nothing back any more.
    public static var none: Caller { Caller(state: leasehold_caller()) }

    /// Whether the caller ignores a signal.
    public func ignores(_ signal: Int32) -> Bool {
        state.ignored & (1 << UInt64(signal - 1)) != 0
    }
}

/// A list of C strings as a program gets it: bytes that need not be text. It lives as long as the process, like the
/// memory that the kernel put the arguments and the environment into.
public struct StringVector: @unchecked Sendable {
    let pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    /// How many strings there are.
    public let count: Int

    /// The last of this process's arguments.
    public init(lastArguments count: Int) {
        pointer = CommandLine.unsafeArgv + (Int(CommandLine.argc) - count)
        self.count = count
    }

    /// This process's environment without one variable.
    public init(environmentWithout name: String) {
        var kept: [UnsafeMutablePointer<CChar>?] = []
        var next = environ
        while let entry = next.pointee {
            if strncmp(entry, "\(name)=", name.utf8.count + 1) != 0 { kept.append(entry) }
            next += 1
        }
        self.init(kept)
    }

    /// These strings.
    public init(_ strings: [String]) {
        self.init(strings.map { strdup($0) })
    }

    /// This process's arguments but for the first ones.
    public init(argumentsWithoutFirst count: Int) {
        self.init(lastArguments: max(0, Int(CommandLine.argc) - count))
    }

    /// Becomes a program, which gets its path and these strings as arguments. Returns only with errno set.
    public func execute(_ path: String) {
        let arguments = StringVector([strdup(path)] + (0..<count).map { pointer[$0] })
        execv(path, arguments.pointer)
    }

    /// Lends a list of further strings and all of these behind them.
    func withFront<Result>(
        _ front: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        let copies = front.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        let all = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: copies.count + count + 1)
        defer { all.deallocate() }
        for (index, string) in copies.enumerated() { (all + index).initialize(to: string) }
        for index in 0..<count { (all + copies.count + index).initialize(to: pointer[index]) }
        (all + copies.count + count).initialize(to: nil)
        return body(all)
    }

    /// Strings in front of the others but their first.
    func replacingFirst(with strings: [String]) -> StringVector {
        StringVector(strings.map { strdup($0) } + (1..<max(1, count)).map { pointer[$0] })
    }

    /// Strings with another one behind them.
    public func appending(_ string: String) -> StringVector {
        StringVector((0..<count).map { pointer[$0] } + [strdup(string)])
    }

    /// The strings as text; what isn't UTF-8 is repaired.
    public var strings: [String] {
        (0..<count).map { pointer[$0].map { String(cString: $0) } ?? "" }
    }

    private init(_ strings: [UnsafeMutablePointer<CChar>?]) {
        pointer = .allocate(capacity: strings.count + 1)
        pointer.initialize(from: strings, count: strings.count)
        (pointer + strings.count).initialize(to: nil)
        count = strings.count
    }
}
