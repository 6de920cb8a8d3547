import Glibc

/// A system call that failed: which, on what, and with which errno.
///
/// Source: `man 3 errno`.
public struct SystemError: Error, Equatable, Sendable {
    /// The call, by its C name.
    public let call: String
    /// The errno it left.
    public let number: Int32
    /// The path or the thing it was tried on, where there is one.
    public let subject: String?

    /// Takes the errno of the call that failed just now.
    public init(_ call: String, on subject: String? = nil, number: Int32 = errno) {
        self.call = call
        self.number = number
        self.subject = subject
    }

    /// What is at a path is not what could be read.
    public static func notRegular(_ path: String) -> SystemError {
        SystemError("not a regular file", on: path, number: 0)
    }

    /// One line: the subject where there is one, the call, and the C library's text for the errno.
    public var message: String {
        let text = number == 0 ? call : "\(call): \(SystemError.text(of: number))"
        return subject.map { "\($0): \(text)" } ?? text
    }

    /// The C library's text for an errno.
    public static func text(of number: Int32) -> String {
        strerror(number).map { String(cString: $0) } ?? "error \(number)"
    }
}

/// Repeats a call that a signal interrupted, and turns a negative result into an error.
@discardableResult
func checked<Result: SignedInteger>(
    _ call: String, on subject: String? = nil, _ body: () -> Result
) throws(SystemError) -> Result {
    while true {
        let result = body()
        if result >= 0 { return result }
        if errno != EINTR { throw SystemError(call, on: subject) }
    }
}
