/// What went wrong in a helper, in one readable text.
public struct TestFailure: Error, CustomStringConvertible, Sendable {
    /// What was tried, and why it failed.
    public let description: String

    /// Makes a failure with this text.
    public init(_ description: String) {
        self.description = description
    }
}
