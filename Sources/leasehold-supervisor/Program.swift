import Glibc
import Platform

/// The file that a command's first word means, looked up as a shell does.
struct Program {
    let path: String

    /// Why there is nothing to execute.
    struct Problem: Error {
        let text: String
        let code: Int32
    }

    init(named name: String, searchPath: String?) throws(Problem) {
        if name.isEmpty { throw Problem(text: "'': not found; see to the command's name", code: 127) }
        if name.utf8.contains(UInt8(ascii: "/")) {
            try Program.check(name)
            path = name
            return
        }
        var forbidden: Problem?
        let directories = (searchPath ?? "/usr/local/bin:/usr/bin:/bin").split(
            separator: ":", omittingEmptySubsequences: false)
        for directory in directories {
            let candidate = directory.isEmpty ? name : "\(directory)/\(name)"
            do throws(Problem) {
                try Program.check(candidate)
                path = candidate
                return
            } catch {
                if error.code == 126 { forbidden = forbidden ?? error }
            }
        }
        throw forbidden ?? Problem(text: "\(name): not found in PATH; see to the command's name", code: 127)
    }

    private static func check(_ path: String) throws(Problem) {
        let found: Files.Kind?
        do throws(SystemError) { found = try Files.kind(of: path) } catch {
            throw Problem(text: error.message, code: error.number == EACCES ? 126 : 127)
        }
        guard let kind = found else {
            throw Problem(text: "\(path): not found; see to the command's path", code: 127)
        }
        guard kind.isRegular else {
            throw Problem(text: "\(path): not a program; see to the command's path", code: 126)
        }
        guard access(path, X_OK) == 0 else {
            throw Problem(text: "\(path): not executable; see to the file's rights", code: 126)
        }
    }
}
