import GuestDirectory

/// Who a guest is: the README's parameters `id`, `uuid` and `name`.
public struct GuestIdentity: Equatable, Sendable {
    /// Its name, 1 to 64 of `A-Za-z0-9._+:@-`, not with `.` or `-` first.
    public let name: String
    /// Its UUID, in lower case.
    public let uuid: String
    /// The number that the application gave it; nil where it gave none.
    public let id: Int?
    let guestName: GuestName

    /// Checks and takes them.
    ///
    /// - Throws: ``LockManagerError/invalidGuest(_:)``.
    public init(name: String, uuid: String, id: Int? = nil) throws(LockManagerError) {
        guard let guestName = GuestName(given: name) else {
            throw .invalidGuest("the name '\(name)' is not 1 to 64 of A-Za-z0-9._+:@- with none of .- first")
        }
        let groups = uuid.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        guard groups.map(\.count) == [8, 4, 4, 4, 12], uuid.allSatisfy({ $0.isASCII && ($0.isHexDigit || $0 == "-") })
        else { throw .invalidGuest("'\(uuid)' is no UUID of the form 01234567-89ab-cdef-0123-456789abcdef") }
        if let id, Int32(exactly: id) == nil || id < 0 {
            throw .invalidGuest("the id \(id) is not from 0 to \(Int32.max)")
        }
        self.name = name
        self.uuid = uuid.lowercased()
        self.id = id
        self.guestName = guestName
    }
}
