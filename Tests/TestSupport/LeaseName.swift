import Foundation

/// The name of a disk's lease, computed by `md5sum`: the judge must not share the product's code.
///
/// - Parameter path: the disk's path as the guest has it, not a byte changed.
public func leaseName(_ path: String) throws -> String {
    let outcome = try Program.run("md5sum", ["-b"], input: Data(path.utf8)).expecting(.exit(0))
    return String(outcome.output.prefix(32))
}
