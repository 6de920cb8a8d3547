import TestSupport

/// Some attempts at what sanlock may refuse as the storage of a machine that is busy is slower than its io timeout.
func despiteSlowStorage<Result>(_ body: () throws -> Result) throws -> Result {
    for _ in 0..<4 {
        do { return try body() } catch let failure as TestFailure where failure.isOfSlowStorage {
            print("once more: \(failure)")
        }
    }
    return try body()
}

extension SanlockDaemon {
    /// Has it wait before each access to its storage, until the directory goes.
    func slowDown(microseconds: Int, _ scratch: Scratch) throws {
        let slowing = try scratch.start(
            Program(
                "strace",
                [
                    "-f", "-o", "/dev/null", "-p", "\(pid)", "-e", "trace=io_submit", "-e",
                    "inject=io_submit:delay_enter=\(microseconds)",
                ]))
        try slowing.waitForOutput("attached", in: .errors)
    }
}
