import LockManager

/// Why a sequence was not, or not all, carried out.
public enum DomainLockError: Error, Sendable {
    /// The lock manager refused, and all is as it was before.
    case refused(LockManagerError)
    /// The application's own step failed. What was done before it was undone; where that failed, `undoing` tells why.
    case application(any Error, undoing: LockManagerError?)
    /// The guest has what was wanted, and the lease that it needs no more could not be given back.
    case leaseKept(Resource, LockManagerError)

    /// One line for people.
    public var message: String {
        switch self {
        case .refused(let error): error.message
        case .application(let error, nil): "\(error)"
        case .application(let error, let undoing?): "\(error); and it could not be undone: \(undoing.message)"
        case .leaseKept(let resource, let error): "the lease of \(resource) is kept: \(error.message)"
        }
    }

    static func refusing<Result>(
        _ body: () throws(LockManagerError) -> Result
    ) throws(DomainLockError) -> Result {
        do throws(LockManagerError) { return try body() } catch { throw .refused(error) }
    }
}

/// What came of undoing something; nil: it was undone.
func failure(of body: () throws(LockManagerError) -> Void) -> LockManagerError? {
    do throws(LockManagerError) {
        try body()
        return nil
    } catch {
        return error
    }
}
