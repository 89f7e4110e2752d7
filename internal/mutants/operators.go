package main

import (
	"go/ast"
	"go/token"
	"strings"
)

// swaps returns, for each operator, its replacements: for a comparison the one with the
// other boundary and the opposite one, for the others the opposite operator.
func swaps() map[token.Token][]token.Token {
	swaps := map[token.Token][]token.Token{
		token.LSS: {token.LEQ, token.GEQ},
		token.LEQ: {token.LSS, token.GTR},
		token.GTR: {token.GEQ, token.LEQ},
		token.GEQ: {token.GTR, token.LSS},
		token.REM: {token.MUL},
	}
	for _, pair := range [][2]token.Token{
		{token.EQL, token.NEQ},
		{token.LAND, token.LOR},
		{token.ADD, token.SUB},
		{token.MUL, token.QUO},
		{token.AND, token.OR},
		{token.SHL, token.SHR},
		{token.INC, token.DEC},
		{token.ADD_ASSIGN, token.SUB_ASSIGN},
		{token.MUL_ASSIGN, token.QUO_ASSIGN},
		{token.AND_ASSIGN, token.OR_ASSIGN},
		{token.SHL_ASSIGN, token.SHR_ASSIGN},
	} {
		swaps[pair[0]], swaps[pair[1]] = pair[1:], pair[:1]
	}
	return swaps
}

// function visits the nodes of one function, or those outside of all functions.
type function struct {
	*finder
	results []ast.Expr // type of each result
}

// Visit implements ast.Visitor.
func (v function) Visit(node ast.Node) ast.Visitor {
	switch n := node.(type) {
	case *ast.FuncDecl:
		return function{v.finder, resultTypes(n.Type)}
	case *ast.FuncLit:
		return function{v.finder, resultTypes(n.Type)}
	case *ast.ImportSpec:
		return nil
	case *ast.BinaryExpr:
		if n.Op != token.ADD || !holdsText(n) {
			v.swap(n.OpPos, n.Op)
		}
	case *ast.IncDecStmt:
		v.swap(n.TokPos, n.Tok)
	case *ast.AssignStmt:
		if n.Tok != token.ADD_ASSIGN || !holdsText(n.Rhs[0]) {
			v.swap(n.TokPos, n.Tok)
		}
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			v.replace(n.Pos(), n.X.Pos(), "")
		}
	case *ast.Ident:
		switch n.Name {
		case "true":
			v.replace(n.Pos(), n.End(), "false")
		case "false":
			v.replace(n.Pos(), n.End(), "true")
		}
	case *ast.IfStmt:
		v.negate(n.Cond)
	case *ast.ReturnStmt:
		v.returns(n)
	case *ast.BlockStmt:
		v.remove(n.List)
	case *ast.CaseClause:
		v.remove(n.Body)
	case *ast.CommClause:
		v.remove(n.Body)
	}
	return v
}

// resultTypes returns the type of each result of a function.
func resultTypes(t *ast.FuncType) []ast.Expr {
	var types []ast.Expr
	if t.Results == nil {
		return nil
	}
	for _, field := range t.Results.List {
		types = append(types, field.Type)
		for range len(field.Names) - 1 {
			types = append(types, field.Type)
		}
	}
	return types
}

// holdsText reports whether the expression is a string literal, or a sum that contains
// one.
func holdsText(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Kind == token.STRING
	case *ast.BinaryExpr:
		return e.Op == token.ADD && (holdsText(e.X) || holdsText(e.Y))
	}
	return false
}

// swap replaces an operator by each of its replacements.
func (v function) swap(at token.Pos, operator token.Token) {
	for _, other := range v.swaps[operator] {
		v.replace(at, at+token.Pos(len(operator.String())), other.String())
	}
}

// negate negates a condition, unless a mutation of an operator in it does so.
func (v function) negate(condition ast.Expr) {
	switch c := condition.(type) {
	case *ast.BinaryExpr:
		return
	case *ast.UnaryExpr:
		if c.Op == token.NOT {
			return
		}
	case *ast.Ident:
		if c.Name == "true" || c.Name == "false" {
			return
		}
	}
	v.replace(condition.Pos(), condition.End(), "!("+v.textOf(condition)+")")
}

// returns replaces each result of a return statement by the zero value of its
// type, and negates a boolean one.
func (v function) returns(statement *ast.ReturnStmt) {
	if len(statement.Results) != len(v.results) { // return f(), or named results
		return
	}
	for i, result := range statement.Results {
		if name, ok := v.results[i].(*ast.Ident); ok && name.Name == "bool" {
			v.negate(result)
			continue
		}
		if zero := v.zeroOf(v.results[i]); !isZero(result) {
			v.replace(result.Pos(), result.End(), zero)
		}
	}
}

// zeroOf returns an expression for the zero value of a type.
func (v function) zeroOf(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr, *ast.MapType, *ast.ChanType, *ast.FuncType, *ast.InterfaceType:
		return "nil"
	case *ast.ArrayType:
		if t.Len == nil {
			return "nil"
		}
	case *ast.Ident:
		switch t.Name {
		case "error", "any":
			return "nil"
		case "string":
			return `""`
		case "int", "int32", "int64", "uint32", "uint64", "uint16", "float64", "byte", "rune":
			return "0"
		}
	}
	return "*new(" + v.textOf(t) + ")"
}

// isZero reports whether an expression is known to be the zero value.
func isZero(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "nil"
	case *ast.BasicLit:
		return e.Value == "0" || e.Value == `""`
	case *ast.CompositeLit:
		return len(e.Elts) == 0
	}
	return false
}

// remove removes one statement at a time: calls, assignments, sends, go and defer. The
// statement stays in the source, where it is never reached, so that the names in it are
// still used and the mutant compiles.
func (v function) remove(statements []ast.Stmt) {
	for _, statement := range statements {
		switch s := statement.(type) {
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); !ok || v.locks(call) {
				continue
			}
		case *ast.DeferStmt:
			if v.locks(s.Call) {
				continue
			}
		case *ast.AssignStmt:
			if blank, ok := s.Lhs[0].(*ast.Ident); s.Tok == token.DEFINE || ok && blank.Name == "_" && len(s.Lhs) == 1 {
				continue
			}
		case *ast.GoStmt, *ast.SendStmt:
		default:
			continue
		}
		v.replace(statement.Pos(), statement.End(), "if false { "+v.textOf(statement)+" }")
	}
}

// locks reports whether the call locks or unlocks a mutex. Without such a call a
// program hangs or crashes at once, which does not show whether a test finds the race.
func (v function) locks(call *ast.CallExpr) bool {
	name := v.textOf(call.Fun)
	for _, method := range []string{".Lock", ".Unlock", ".RLock", ".RUnlock"} {
		if strings.HasSuffix(name, method) {
			return true
		}
	}
	return false
}
