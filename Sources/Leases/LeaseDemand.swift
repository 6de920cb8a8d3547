/// What another host has written beside a lease: that its holder give it up. sanlock's word is request.
public struct LeaseDemand: Equatable, Sendable {
    /// How it is to be got.
    public enum Mode: String, Sendable {
        /// The holder is told, and does what its policy says.
        case graceful
        /// The holder's lease manager kills it.
        case force
    }

    /// The lease.
    public var request: LeaseRequest
    /// The version under which the asker would have it: it is meant for whoever holds it under a lower one.
    public var version: UInt64
    /// How.
    public var mode: Mode

    /// States all of it.
    public init(_ request: LeaseRequest, version: UInt64, mode: Mode) {
        self.request = request
        self.version = version
        self.mode = mode
    }
}
