import ControlProtocol
import Glibc

/// The version that `--version` tells.
let version = leaseholdVersion

/// The environment of this process.
enum Environment {
    /// One of its variables.
    static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}

/// The ready line of a start that failed.
func errorLine(_ text: String) -> [UInt8] {
    var object = JSON.Object()
    object["error"] = .string(text)
    return JSON.object(object).serialize() + [UInt8(ascii: "\n")]
}
