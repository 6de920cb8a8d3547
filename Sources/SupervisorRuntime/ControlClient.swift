import ControlProtocol
import Platform

/// One connection to the control socket: what it has sent, and what it has yet to be sent.
final class ControlClient {
    /// The most that waits for a client that doesn't read, in bytes. One that lets it come to this is dropped.
    static let mostWaitingBytes = 1 << 20

    let descriptor: Descriptor
    var identity: UInt64 = 0
    var framer = Framer()
    var monitors = false
    let isOwner: Bool
    /// How many of its calls were taken up and are yet to be answered. Replies have no names: they come in the order of the calls.
    var owed = 0
    /// Calls that came meanwhile, in their order.
    var held: [Result<CallMessage, CallError>] = [] {
        didSet { if held.isEmpty { heldBytes = 0 } }
    }
    /// How long they were, at most.
    var heldBytes = 0
    private var waiting: [UInt8] = []
    private var sent = 0

    init(_ descriptor: consuming Descriptor, isOwner: Bool) {
        self.descriptor = descriptor
        self.isOwner = isOwner
    }

    /// Whether no more calls are taken in before one is answered.
    var isFull: Bool {
        held.count + owed >= ControlClient.mostOpenCalls || heldBytes >= Framer.longestCallBytes
    }

    private static let mostOpenCalls = 64

    /// Whether it has asked for something that was not taken up.
    var hasSaidMore: Bool { !held.isEmpty || framer.hasPartialMessage }

    /// Whether something waits to be sent.
    var isBehind: Bool { sent < waiting.count }

    /// Adds a message, and sends what goes.
    ///
    /// - Returns: false where the client is gone or hopelessly behind.
    func send(_ message: [UInt8]) -> Bool {
        // One message may be longer: the status of a guest whose command line is.
        guard flush(), waiting.count - sent <= ControlClient.mostWaitingBytes else { return false }
        waiting += message
        return flush()
    }

    /// Sends what goes. False where the client is gone.
    func flush() -> Bool {
        while isBehind {
            let start = sent
            let result = waiting.withUnsafeBytes { bytes in
                Result { () throws(SystemError) in
                    try descriptor.write(UnsafeRawBufferPointer(rebasing: bytes[start...]))
                }
            }
            guard case .success(let count) = result else { return false }
            guard let count else { return true }
            sent += count
        }
        waiting.removeAll(keepingCapacity: waiting.count <= 4096)
        sent = 0
        return true
    }

    /// Reads what is there. False where the client is gone.
    func receive() -> Bool {
        withUnsafeTemporaryAllocation(byteCount: 8192, alignment: 1) { buffer in
            let result = Result { () throws(SystemError) in try descriptor.read(into: buffer) }
            guard case .success(let read) = result else { return false }
            guard let count = read else { return true }
            framer.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            return count > 0
        }
    }
}
