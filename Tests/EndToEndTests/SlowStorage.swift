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
