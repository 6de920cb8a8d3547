import Glibc

/// The program that is put in front of a guest's command line.
public enum SupervisorProgram {
    /// Its path: beside the program of this process, else as PATH has it; nil where it is neither.
    public static func path() -> String? {
        var buffer = [CChar](repeating: 0, count: 4097)
        let size = readlink("/proc/self/exe", &buffer, 4096)
        if size > 0 {
            let own = String(decoding: buffer[..<size].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let candidate = own.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/leasehold-supervisor"
            if access(candidate, X_OK) == 0 { return candidate }
        }
        for directory in (getenv("PATH").map { String(cString: $0) } ?? "").split(separator: ":") {
            let candidate = "\(directory)/leasehold-supervisor"
            if access(candidate, X_OK) == 0 { return candidate }
        }
        return nil
    }
}
