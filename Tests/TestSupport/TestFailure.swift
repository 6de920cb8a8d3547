/// What went wrong in a helper, in one readable text.
public struct TestFailure: Error, CustomStringConvertible, Sendable {
    /// What was tried, and why it failed.
    public let description: String

    /// Makes a failure with this text.
    public init(_ description: String) {
        self.description = description
    }

    /// Whether sanlock waited longer for a write than the io timeout of a test's hosts, a second, allows. On a machine that is
    /// busy that says nothing of what is tested.
    public var isOfSlowStorage: Bool {
        description.contains("the lease storage failed (") || description.contains("acquire done -211")
    }
}
